"""Where a host runs for the home, a run hands its turn over, and nobody sees a difference."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from greenroom.demo.script import CommandStep, FailStep, Stall, Text, rule
from tests.support import processes
from tests.support.exec import ANYWHERE, begin, run, run_json
from tests.support.host import Host
from tests.support.host import hosting as starting
from tests.support.model import Model, members, said
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(90)]

JOIN = "--attach"


@contextmanager
def hosting(stage: Stage, *arguments: str) -> Iterator[Host]:
    """Start a host that listens, and end it."""
    with starting(stage, *arguments) as host:
        host.await_socket()
        yield host


@pytest.fixture
def model(stage: Stage) -> Model:
    return stage.play(
        rule("look", [CommandStep(("sh", "-c", "pwd"))], [Text("Seen.")]),
        rule("fail", [FailStep(400, {"error": {"message": "nope"}})]),
        rule("stall", [Text("hm"), Stall()]),
        rule("", [Text("Hello.")]),
    )


def test_a_turn_is_told_as_without_a_host(stage: Stage, model: Model, tmp_path: Path) -> None:
    last = tmp_path / "last.txt"
    with hosting(stage):
        for prompt in ("look", "fail"):
            alone, joined = run_json(stage, prompt), run_json(stage, JOIN, "-o", str(last), prompt)
            assert (joined.status, joined.kinds) == (alone.status, alone.kinds), joined.err
        people = run(stage, ANYWHERE, JOIN, "look")
        assert (people.status, people.out) == (0, "Seen.\n")
        assert str(stage.workspace) in people.err
    assert last.read_text() == ""  # of the turn that has failed


def test_settings_of_the_command_line_are_those_of_the_turn(stage: Stage, model: Model) -> None:
    other = stage.workspace / "other"
    other.mkdir()
    with hosting(stage):
        first = run_json(stage, JOIN, "-m", "another", "-C", "other", "-c", "model_reasoning_effort=high", "look")
        assert first.status == 0, first.err
        assert members(model.requests()[-1])["model"] == "another"
        assert first.items[0]["aggregated_output"] == f"{other}\n"
        again = run_json(stage, JOIN, "resume", first.thread, "look")
        assert again.thread == first.thread
        assert members(model.requests()[-1])["model"] == "scripted"
        assert again.items[0]["aggregated_output"] == f"{stage.workspace}\n"
        assert said(model.requests()[-1], "user").count("look") == 2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, -15)])
def test_a_signal_interrupts_the_turn(stage: Stage, model: Model, number: signal.Signals, status: int) -> None:
    with hosting(stage):
        process = begin(stage, "--json", ANYWHERE, JOIN, "stall")
        model.until(lambda counted: counted.requests == 1)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert process.returncode == status, err
        assert json.loads(out.splitlines()[-1])["type"] == "turn.failed"
        model.until(lambda counted: counted.streaming == 0)


def test_a_turn_ends_with_the_reader_of_its_run(stage: Stage, model: Model) -> None:
    with hosting(stage):
        process = begin(stage, "--json", ANYWHERE, JOIN, "stall")
        model.until(lambda counted: counted.requests == 1)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(20) == 1
        model.until(lambda counted: counted.streaming == 0)


def test_a_run_waits_for_the_turn_of_one_that_was_killed(stage: Stage, model: Model) -> None:
    with hosting(stage, "-c", "greenroom.idle_workers=0") as host:
        thread = run_json(stage, JOIN, "hi").thread
        process = begin(stage, "--json", ANYWHERE, JOIN, "resume", thread, "stall")
        model.until(lambda counted: counted.streaming == 1)
        (worker,) = processes.named(processes.tree(host.pid), "gr-worker")
        worker.suspend()  # so that the interrupted turn does not end before the next run asks for its conversation
        process.kill()
        process.communicate()
        again = run_json(stage, JOIN, "resume", thread, "hi")
        assert (again.status, again.items[-1]["text"]) == (0, "Hello."), again.out


def test_a_run_does_not_wait_for_a_turn_that_goes_on(stage: Stage, model: Model) -> None:
    with hosting(stage):
        thread = run_json(stage, JOIN, "hi").thread
        process = begin(stage, "--json", ANYWHERE, JOIN, "resume", thread, "stall")
        model.until(lambda counted: counted.streaming == 1)
        refused = run_json(stage, JOIN, "resume", thread, "hi")
        assert (refused.status, "is busy" in refused.err) == (1, True)
        process.terminate()
        process.communicate(timeout=20)


def test_a_killed_worker_is_told(stage: Stage, model: Model) -> None:
    with hosting(stage) as host:
        process = begin(stage, "--json", ANYWHERE, JOIN, "stall")
        model.until(lambda counted: counted.requests == 1)
        for worker in processes.named(processes.tree(host.process.pid), "gr-worker"):
            os.kill(worker.pid, signal.SIGKILL)
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 1
        assert json.loads(out.splitlines()[-1])["error"]["kind"] == "worker_crashed"


def test_without_a_host_a_run_goes_on_by_itself_unless_it_must_not(stage: Stage, model: Model) -> None:
    assert run_json(stage, f"{JOIN}=auto", "hi").status == 0
    refused = run_json(stage, JOIN, "hi")
    assert (refused.status, refused.out) == (1, "")
    assert "no host serves" in refused.err


def test_what_a_host_could_not_do_is_done_by_the_run(stage: Stage, model: Model) -> None:
    with hosting(stage):
        assert run_json(stage, f"{JOIN}=auto", "--ephemeral", "hi").status == 0
        assert not stage.home.sessions()
        refused = run_json(stage, JOIN, "hi", CODEX_API_KEY="sk-x")
        assert (refused.status, refused.out) == (1, "")
        assert "CODEX_API_KEY cannot be given" in refused.err
