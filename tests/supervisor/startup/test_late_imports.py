"""The loop runs before what is slow to import is imported: it is imported in a thread, while the client is answered."""

import subprocess
import sys


def test_the_server_starts_its_loop_without_the_process_tree() -> None:
    heavy = ("zmq", "pydantic", "greenroom.supervisor.processes.tree", "greenroom.supervisor.frontend.mcp.services")
    statement = (
        f"import sys, greenroom.supervisor.startup.server;print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
