"""What the tests rely on where servers are forks of a template (`tests/support/template.py`)."""

import subprocess
from collections.abc import Mapping

import pytest

from greenroom.demo.script import Text, rule
from tests.support import processes
from tests.support.client import text
from tests.support.deadline import until
from tests.support.server import patched, run
from tests.support.stage import Stage
from tests.support.template import SEEDED

HELLO = rule("hello", [Text("Good day.")])


def test_the_processes_of_a_forked_server_are_found_by_the_marker_of_their_test(stage: Stage) -> None:
    assert stage.template is not None
    stage.play(HELLO)
    server = stage.serve("fork")
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    server.settle(workers=3)
    ours = {server.pid, server.broker().pid, server.fork_server().pid, *(worker.pid for worker in server.workers())}
    assert ours <= {process.pid for process in processes.marked(stage.run)}


@pytest.mark.parametrize(("chosen", "variables"), [("spawn", {}), ("fork", SEEDED)])
def test_what_a_server_starts_itself_is_its_child_and_a_fork_of_the_template(
    stage: Stage, chosen: str, variables: Mapping[str, str]
) -> None:
    assert stage.template is not None
    stage.play(HELLO)
    server = stage.serve(chosen, **variables)
    server.settle(workers=2)
    children = [server.broker(), *server.workers()]
    if chosen == "fork":
        former = server.fork_server()
        former.kill()
        assert not processes.remaining([former], 2.0)
        children = until(lambda: processes.named(processes.process(server.pid).children(), "gr-forkserver"))
    assert {child.ppid() for child in children} == {server.pid}
    assert all(stage.template.is_(child.cmdline()) for child in children)
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."


def test_what_a_statement_replaces_is_replaced_also_where_it_was_imported_by_its_name(stage: Stage) -> None:
    statement = "import greenroom.protocol.version as release; release.__version__ = '9.9'"
    done = run(patched(statement, "--version"), stage.environment(), stage.template)
    assert (done.returncode, done.stdout) == (0, "greenroom 9.9\n")


def test_what_others_start_in_place_of_the_program_has_its_streams_and_its_status(stage: Stage) -> None:
    for words, status in ((("--version",), 0), (("mcp-server", "--engine", "steam"), 2)):
        command = stage.command(*words)
        assert "greenroom.supervisor.main" not in command
        done = subprocess.run(command, env=stage.environment(), capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == status
        assert done.stdout.startswith("greenroom ") == (status == 0)
        assert ("invalid choice: 'steam'" in done.stderr) == (status == 2)
