"""The official SDKs for `codex exec`, unchanged, work with `greenroom exec` in its place."""

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.demo.request_log import credential_digest
from greenroom.demo.script import CommandStep, FailStep, Quote, ReasoningStep, Stall, Text, rule
from tests.conformance.exec import sdk
from tests.conformance.foreign import Program
from tests.conformance.packages import UnavailableError
from tests.support.model import inputs, members, said
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(150)]  # the first run on a machine installs an SDK

LOOK = rule("look", [ReasoningStep("Hm."), CommandStep(("sh", "-c", "echo here"))], [Quote("It said ")])
AGAIN = rule("again", [Text(("Still ", "here."))])
STALL = rule("stall", [Text("hm"), Stall()])
LONG = rule("long", [CommandStep(("sleep", "600"))], [Text("Over.")])
FAIL = rule("fail", [FailStep(400, {"error": {"message": "nope"}})])
ANSWER = rule("answer", [Text('{"a": "b"}')])
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
KILL = """
import contextlib, os, psutil
for process in psutil.Process(os.getppid()).children(recursive=True):
    with contextlib.suppress(psutil.NoSuchProcess):
        if process.name() == "gr-worker":
            process.kill()
"""
"""Kills the worker of the run of the client that executes it."""


def found(find: Callable[[], Program]) -> Program:
    try:
        return find()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def typescript() -> Program:
    return found(sdk.typescript)


@pytest.fixture(params=[sdk.typescript, sdk.python], ids=["TypeScript", "Python"])
def either(request: pytest.FixtureRequest) -> Program:
    return found(request.param)


def test_a_thread_runs_turns(stage: Stage, either: Program) -> None:
    model = stage.play(LOOK, AGAIN)
    report = sdk.play(either, stage, "run", "look", "again")
    assert report["responses"] == ["It said here", "Still here."]
    assert report["kinds"] == ["reasoning", "command_execution", "agent_message"]
    assert said(model.requests()[-1], "user")[-2:] == ["look", "again"]
    assert stage.home.session(report["thread"])
    assert not stage.left_over()


def test_images_are_shown(stage: Stage, either: Program, tmp_path: Path) -> None:
    model = stage.play(LOOK, AGAIN)
    path = tmp_path / "pixel.png"
    path.write_bytes(PIXEL)
    report = sdk.play(either, stage, "images", "again", images=[str(path)])
    assert report["responses"] == ["Still here."] * 2
    for request in model.requests():
        assert [part["type"] for part in inputs(request)[-1]["content"]] == ["input_image", "input_text"]


def test_a_turn_is_streamed(stage: Stage, typescript: Program) -> None:
    stage.play(LOOK)
    told: list[dict[str, Any]] = sdk.play(typescript, stage, "stream", "look")["told"]
    assert [event["type"] for event in told] == [
        "thread.started",
        "turn.started",
        "item.completed",
        "item.started",
        "item.completed",
        "item.completed",
        "turn.completed",
    ]


def test_a_thread_is_resumed(stage: Stage, typescript: Program) -> None:
    stage.play(LOOK, AGAIN)
    thread = sdk.play(typescript, stage, "run", "look", "again")["thread"]
    assert sdk.play(typescript, stage, "resume", "again", thread=thread) == {
        "thread": thread,
        "response": "Still here.",
    }


def test_an_answer_has_the_form_of_a_schema(stage: Stage, typescript: Program) -> None:
    model = stage.play(ANSWER)
    assert sdk.play(typescript, stage, "structured", "answer", schema=SCHEMA)["answer"] == {"a": "b"}
    assert members(model.requests()[-1])["text"]["format"]["schema"] == SCHEMA


def test_options_of_a_thread_are_in_force(stage: Stage, typescript: Program) -> None:
    model = stage.play(AGAIN, more="requires_openai_auth = true")
    options = {
        "model": "another",
        "sandboxMode": "workspace-write",
        "modelReasoningEffort": "high",
        "networkAccessEnabled": True,
        "webSearchMode": "disabled",
        "approvalPolicy": "on-request",
        "threadSource": "nightly",
        "additionalDirectories": [str(stage.home.path)],
    }
    report = sdk.play(
        typescript, stage, "run", "again", "again", options=options, api_key="sk-of-the-sdk",
        config={"project_doc_max_bytes": 0},
    )  # fmt: skip
    request = model.requests()[-1]
    assert members(request)["model"] == "another"
    assert request.credential == credential_digest("sk-of-the-sdk")
    assert request.headers["originator"] == "codex_sdk_ts"
    written = stage.home.session(report["thread"]).read_text()
    assert json.loads(written.splitlines()[0])["payload"]["thread_source"] == "nightly"
    assert '"type":"workspace-write"' in written
    assert '"network_access":true' in written


def test_a_turn_is_aborted(stage: Stage, typescript: Program) -> None:
    stage.play(STALL, AGAIN)
    report = sdk.play(typescript, stage, "abort", "stall")
    assert report["error"] == "AbortError"
    assert not stage.left_over()
    assert sdk.play(typescript, stage, "resume", "again", thread=report["thread"])["response"] == "Still here."


def test_a_failed_turn_is_an_error(stage: Stage, typescript: Program) -> None:
    stage.play(FAIL)
    assert "nope" in sdk.play(typescript, stage, "fail", "fail")["error"]


@pytest.mark.executed  # the worker is found below the client
def test_a_killed_worker_is_an_error_and_the_thread_goes_on(stage: Stage, typescript: Program) -> None:
    stage.play(LONG, AGAIN)
    report = sdk.play(typescript, stage, "killed", "long", "again", kill=[sys.executable, "-c", KILL])
    failed = report["told"][-1]
    assert (failed["type"], failed["error"]["kind"]) == ("turn.failed", "worker_crashed")
    assert "exited with code 1" in report["error"]
    assert report["response"] == "Still here."
    assert not stage.left_over()
