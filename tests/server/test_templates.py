"""What the tests rely on where servers are forks of a template (`tests/support/template.py`)."""

import subprocess

from greenroom.demo.script import Text, rule
from tests.support import processes
from tests.support.client import text
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])


def test_the_processes_of_a_forked_server_are_found_by_the_marker_of_their_test(stage: Stage) -> None:
    assert stage.template is not None
    stage.play(HELLO)
    server = stage.serve("fork")
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    server.settle(workers=3)
    ours = {server.pid, server.broker().pid, server.fork_server().pid, *(worker.pid for worker in server.workers())}
    assert ours <= {process.pid for process in processes.marked(stage.run)}


def test_what_others_start_in_place_of_the_program_has_its_streams_and_its_status(stage: Stage) -> None:
    for words, status in ((("--version",), 0), (("mcp-server", "--engine", "steam"), 2)):
        command = stage.command(*words)
        assert "greenroom.supervisor.main" not in command
        done = subprocess.run(command, env=stage.environment(), capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == status
        assert done.stdout.startswith("greenroom ") == (status == 0)
        assert ("invalid choice: 'steam'" in done.stderr) == (status == 2)
