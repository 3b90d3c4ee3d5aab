"""Every place that starts a program is known, with the reason for which a workspace cannot choose what it runs.

Greenroom's own programs never run what a workspace configures (decision 18). A new place has to be thought about, and
then added here.
"""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom import broker, config, demo, protocol, runtime, sessions, supervisor, workers

PACKAGES = (broker, config, demo, protocol, runtime, sessions, supervisor, workers)

STARTS = frozenset(
    {
        *("Popen", "check_call", "check_output", "getoutput", "getstatusoutput"),
        *("create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell"),
        *("open_process", "run_process", "posix_spawn", "posix_spawnp", "popen", "forkpty", "startfile"),
        *(
            f"{family}{letters}"
            for family in ("exec", "spawn")
            for letters in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")
        ),
        *("spawn", "GroupStarter", "FreeStarter", "LaunchedStarter", "ProcessPoolExecutor", "stdio_client"),
    }
)
"""Calls by their last name."""
STARTS_OF = frozenset(
    {
        *("os.system", "os.fork", "pty.spawn", "pty.fork", "webbrowser.open", "webbrowser.open_new", "webbrowser.get"),
        *("subprocess.run", "subprocess.call", "multiprocessing.Process"),
    }
)
"""Calls whose last name is too common."""
MENTION = re.compile(rf"\b(?:{'|'.join(STARTS | STARTS_OF)})\b")
"""In a module without one no program is started."""
BANNED = frozenset({"subprocess", "os", "pty", "multiprocessing", "webbrowser"})
RENAMED = re.compile(rf"\b(?:{'|'.join(BANNED)})\s+(?:import|as)\b")
"""In a module without one none of them has another name."""

OWN = "this interpreter, with code of this program and -I"
FORK = "a fork of this process, which runs no other program"
COMMAND = "a command of the model or the client, under the sandbox and the approval that the user chose"
USER = "named in the user's own configuration, and looked up in absolute directories only"
CONFINED = "confined as in read-only, and without the settings"

KNOWN = {
    "broker/refresh/subprocess.py:SubprocessExecutor._delegate": OWN,
    "broker/token_commands.py:_start": USER,
    "demo/mcp_client.py:connect": "the demonstration starts a server of this program",
    "demo/walkthrough.py:Walkthrough._show_status": "the demonstration starts a command of this program",
    "runtime/process/launch.py:launch": OWN,
    "runtime/process/spawn.py:spawn": OWN,
    "supervisor/cli/doctor/checks/installation.py:_ask_index": "pip, in `/`, where the user asks for it",
    "supervisor/cli/doctor/cluster.py:ask_cluster": OWN,
    "supervisor/cli/doctor/confined.py:run_confined": CONFINED,
    "supervisor/cli/login_attempt.py:open_browser": "the browser of the user who logs in; absolute directories only",
    "supervisor/processes/engines/direct_child.py:start_spawned": OWN,
    "supervisor/processes/engines/fork_server.py:ForkServer._fork": FORK,
    "supervisor/processes/broker_process.py:BrokerProcess.start": OWN,
    "supervisor/node/node.py:Node._spawn": OWN,
    "supervisor/processes/nodes/hub.py:NodeHub._enrol": OWN,
    "supervisor/processes/nodes/ray/outpost_actor.py:OutpostActor.__init__": OWN,
    "supervisor/processes/nodes/ray/process.py:RayProcess.start": OWN,
    "supervisor/processes/worker_supply.py:WorkerSupply.start": OWN,
    "supervisor/startup/background.py:start_in_background": FORK,
    "workers/conversation/notifier.py:Notifier._start": USER,
    "workers/exec/starter.py:GroupStarter.start": COMMAND,
    "workers/git.py:Git.__init__": CONFINED,
    "workers/jobs/client_sandbox.py:client_starter": COMMAND,
    "workers/mcp/transport/stdio.py:_start": USER,
    "workers/sandbox/rules/features.py:_try_namespaces": FORK,
    "workers/sandbox/program.py:PreforkedChild.fork": FORK,
    "workers/sandbox/program.py:_become": COMMAND,
    "workers/sandbox/starter.py:FreeStarter.__init__": COMMAND,
    "workers/sandbox/starter.py:LaunchedStarter.start": COMMAND,
    "workers/sandbox/starter.py:ReadOnlyStarter.__init__": COMMAND,
    "workers/sandbox/zygote.py:_Zygote._fork": FORK,
    "workers/sandbox/zygote_link.py:ZygoteLink.fork": FORK,
    "workers/sandbox/zygote_link.py:start_shared_zygote": OWN,
    "workers/tools/toolbox.py:Toolbox.__init__": COMMAND,
    "workers/tools/toolbox.py:Toolbox.move": COMMAND,
}


def places(source: str, path: str) -> Iterator[str]:
    """Name the functions of a module in which a program is started, with the module's path below the package."""
    if not MENTION.search(source):
        return iter(())

    def visit(node: ast.AST, within: tuple[str, ...]) -> Iterator[str]:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            within = (*within, node.name)
        if starts(node):
            yield f"{path}:{'.'.join(within[:2])}"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, within)

    return visit(ast.parse(source), ())


def starts(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}" in STARTS_OF
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in STARTS
    return False


def modules() -> Iterator[tuple[str, str]]:
    """Yield the source of each module and its path below the package."""
    for directory in (Path(package.__file__ or "").parent for package in PACKAGES):
        for file in directory.rglob("*.py"):
            yield file.read_text(), file.relative_to(directory.parent).as_posix()


def test_every_place_that_starts_a_program_is_known_with_its_reason() -> None:
    assert {place for source, path in modules() for place in places(source, path)} == KNOWN.keys()


@pytest.mark.parametrize(
    "line",
    [
        "subprocess.run(['git'])",
        "subprocess.Popen('x', shell=True)",
        "Popen(['git'])",
        "await asyncio.create_subprocess_shell('x')",
        "await anyio.open_process('x')",
        "os.system('x')",
        "os.execvpe('x', [], {})",
        "os.posix_spawn('x', [], {})",
        "self._launcher.spawn(['x'])",
        "multiprocessing.Process(target=f)",
        "log_in(open_url=webbrowser.open)",
    ],
)
def test_a_new_place_is_noticed(line: str) -> None:
    source = f"class A:\n    async def b(self):\n        def c():\n            pass\n        {line}\n"
    assert list(places(source, "workers/new.py")) == ["workers/new.py:A.b"]


def hidden(source: str) -> Iterator[str]:
    """Yield the names by which a module would hide that it starts a program."""
    for node in ast.walk(ast.parse(source)) if RENAMED.search(source) else ():
        if isinstance(node, ast.ImportFrom) and node.module in BANNED:
            yield from (alias.name for alias in node.names if alias.name not in os.__all__ or alias.name in STARTS)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in BANNED and alias.asname)


@pytest.mark.parametrize(
    "line", ["import sys, os as x", "from subprocess import (\n  Popen,\n)", "from os import execv"]
)
def test_another_name_is_noticed(line: str) -> None:
    assert len([*hidden(line)]) == 1


def test_nothing_starts_programs_under_another_name() -> None:
    """An import that renames, or takes a function out of its module, would hide a place."""
    assert [(path, name) for source, path in modules() for name in hidden(source)] == []
