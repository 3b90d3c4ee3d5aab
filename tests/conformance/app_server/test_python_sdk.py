"""The official Python SDK, unchanged, works with Greenroom as with the reference."""

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from greenroom.demo.script import CommandStep, FailStep, Quote, ReasoningStep, Stall, Text, rule
from tests.conformance.app_server.sdk import play
from tests.conformance.foreign import Imports
from tests.conformance.packages import UnavailableError
from tests.support import processes
from tests.support.home import records
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(150)]  # the first run on a machine installs the SDK

LOOK = rule("look", [ReasoningStep("Hm."), CommandStep(("sh", "-c", "echo here"))], [Quote("It said ")])
AGAIN = rule("again", [Text(("Still ", "here."))])
STALL = rule("stall", [Text("hm"), Stall()])
FAIL = rule("fail", [FailStep(400, {"error": {"message": "nope"}})])
Played: TypeAlias = Callable[..., dict[str, Any]]


@pytest.fixture
def played(stage: Stage, imports: Imports) -> Played:
    """Return what plays a scene with a server of the stage, and returns the report."""

    def play_it(scene: str, *prompts: str) -> dict[str, Any]:
        stage.kills_expected = True  # its clients send SIGTERM with the end of input, and SIGKILL two seconds later
        try:
            return play(imports, stage, scene, *prompts)
        except UnavailableError as error:
            pytest.skip(str(error))

    return play_it


def test_a_thread_runs_and_streams(stage: Stage, played: Played) -> None:
    stage.play(LOOK, AGAIN)
    report = played("run", "look", "again")
    assert report["first"] == "It said here"
    assert report["kinds"] == ["userMessage", "reasoning", "commandExecution", "agentMessage"]
    assert (report["status"], report["usage"], report["second"]) == ("completed", 110, "Still here.")
    assert report["server"]["version"].startswith("0.171.0 ")
    assert next(records(stage.home.session(report["thread"])))[1]["id"] == report["thread"]
    assert not stage.left_over()


def test_the_asynchronous_client_runs_threads_side_by_side(stage: Stage, played: Played) -> None:
    stage.play(LOOK, AGAIN)
    report = played("run_async", "look", "again")
    assert report["responses"] == ["It said here"] * 2
    assert report["second"] == "Still here."
    assert len(set(report["threads"])) == 2


def test_a_turn_is_interrupted_and_another_fails(stage: Stage, played: Played) -> None:
    stage.play(STALL, FAIL)
    report = played("interrupt", "stall", "fail")
    assert report["statuses"] == ["interrupted"]
    assert "nope" in report["error"]


def test_a_killed_worker_fails_its_turn_and_the_thread_goes_on(stage: Stage, played: Played) -> None:
    stage.play(STALL, AGAIN)

    def kill() -> None:
        stage.model.until(lambda statistics: statistics.requests == 1)
        for process in processes.marked(stage.run):
            if processes.name_of(process) == "gr-worker":
                process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        report = played("failure", "stall", "again")
    finally:
        killer.join()
    assert "died" in report["error"]
    assert report["after"] == "Still here."


def test_threads_are_taken_up_forked_listed_and_put_aside(stage: Stage, played: Played) -> None:
    stage.play(LOOK, AGAIN, rule("", [Text("In short.")]))
    report = played("library", "look", "again")
    thread, fork = report["thread"], report["fork"]
    assert (report["resumed"], report["forked"]) == ("Still here.", "Still here.")
    assert report["turns"] == [
        ["userMessage", "reasoning", "commandExecution", "agentMessage"],
        ["userMessage", "agentMessage"],
    ]
    assert report["listed"] == {thread: "Mine", fork: None}
    assert (report["archived"], report["back"]) == ([fork], fork)
