"""What is imported when: the client is answered, and its first call is begun, before what either can do without."""

import subprocess
import sys
from typing import Final

FORK_SERVER: Final = "greenroom.supervisor.processes.engines.fork_server"
SERVER: Final = (
    "greenroom.supervisor.frontend.mcp.front",
    "greenroom.supervisor.startup.start",
    "greenroom.supervisor.startup.server",
    "greenroom.supervisor.startup.processes",
    "greenroom.supervisor.frontend.mcp.services",
    "greenroom.supervisor.control.inspection",
)
"""What a server of a client of MCP imports before it is at rest."""
DATACLASSES: Final = {
    "greenroom.protocol.instance.Instance",
    "greenroom.supervisor.processes.service_state.ServiceStatus",
    "greenroom.workers.conversation.home.RemoteHome",
}
"""Those that are part of a report, or with a member that is set later."""


def imported(statement: str, *modules: str) -> list[str]:
    """Return the lines that a statement prints in a process that has imported modules."""
    source = f"import sys, {', '.join(modules)}; {statement}"
    done = subprocess.run([sys.executable, "-I", "-c", source], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_fork_server_is_started_before_anything_slow_is_imported() -> None:
    """The name of each module that is there afterwards, but for those that the interpreter has loaded itself."""
    own = "{name for name in sys.modules if not name.startswith('greenroom')}"
    source = (
        f"import sys; before = {own};"
        " import greenroom.supervisor.main, greenroom.supervisor.startup.attach;"
        " import greenroom.supervisor.startup.prelaunch;"
        f" print(*sorted({own} - before))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", source], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"_socket", "gc", "itertools", "select"}


def test_the_server_starts_its_loop_without_the_process_tree() -> None:
    heavy = ("zmq", "pydantic", "greenroom.supervisor.processes.tree", "greenroom.supervisor.frontend.mcp.services")
    found = f"print(*[name for name in {heavy!r} if name in sys.modules])"
    assert imported(found, "greenroom.supervisor.startup.server") == []


def test_a_first_call_waits_neither_for_pydantic_nor_for_the_settings_of_conversations() -> None:
    heavy = ("pydantic", "aiohttp", "greenroom.protocol.report", "greenroom.config.settings")
    found = f"print(*[name for name in {heavy!r} if name in sys.modules])"
    assert imported(found, *SERVER) == []


def test_what_a_first_call_waits_for_has_structs_in_place_of_dataclasses() -> None:
    found = (
        "print(*{f'{each.__module__}.{each.__qualname__}' for module in list(sys.modules.values())"
        " if module.__name__.startswith('greenroom') for each in vars(module).values()"
        " if isinstance(each, type) and '__dataclass_fields__' in vars(each)})"
    )
    assert set(imported(found, FORK_SERVER)) | set(imported(found, *SERVER)) == DATACLASSES
