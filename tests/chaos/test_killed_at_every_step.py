"""Wherever in a turn its worker dies, there is one answer, no process is left, and the conversation goes on."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from greenroom.demo.request_log import RecordedRequest
from greenroom.demo.script import CommandStep, PatchStep, Stall, Text, rule
from tests.support import processes
from tests.support.client import Message, RequestId, kind, text, thread_id
from tests.support.deadline import until
from tests.support.faults import Faults, Place
from tests.support.home import records
from tests.support.model import Gate, inputs, said
from tests.support.server import PROGRAM
from tests.support.stage import Stage

FILES = ("one.txt", "two.txt")
PATCH = "*** Begin Patch\n" + "".join(f"*** Add File: {name}\n+hello\n" for name in FILES) + "*** End Patch"
ALONE = ("-c", "greenroom.idle_workers=0")
"""The one worker there is, is that of the conversation."""


class Scene:
    """A conversation that has had one turn, in a server whose workers can be made to die anywhere, if need be."""

    def __init__(self, stage: Stage, engine: str, *, is_faulty: bool = True) -> None:
        self.stage = stage
        self.gate = Gate()
        self.faults = Faults(stage.workspace.parent / "faults")
        stage.play(
            rule("hello", [Text("Good day.")]),
            rule("wait", [self.gate.wait, Text("never")]),
            rule("stream", [Text("hm"), Stall()]),
            rule("sleep", [CommandStep(("sleep", "600"))]),
            rule("patch", [PatchStep(PATCH)], [Stall()]),
            rule("ask", [CommandStep(("touch", "asked.txt"))], [Text("never")]),
        )
        program = self.faults.program if is_faulty else PROGRAM
        self.server = stage.start("--engine", engine, *ALONE, program=program)
        self.client = self.server.client
        self.client.initialize(capabilities={"elicitation": {}})
        cautious = {"approval_policy": "on-request", "sandbox": "danger-full-access"}
        self.thread = thread_id(self.client.result(self.client.codex("hello", cwd=stage.cwd, **cautious)))

    def reply(self, prompt: str) -> RequestId:
        return self.client.reply(self.thread, prompt)

    def kill(self) -> None:
        (worker,) = self.server.workers()
        worker.kill()

    def strike(self, place: Place, prompt: str) -> RequestId:
        """Say something, and have the worker die where this leads it."""
        self.faults.order(place)
        return self.reply(prompt)


def before_it_is_ready(scene: Scene) -> RequestId:
    scene.kill()
    until(lambda: not scene.server.workers())
    return scene.strike("before it is ready", "hello")


def in_the_request(scene: Scene) -> RequestId:
    call = scene.reply("wait")
    scene.stage.model.until(lambda statistics: statistics.requests == 2)
    scene.client.event(call, "task_started")  # else it may never have begun, as far as the supervisor can tell
    scene.kill()
    return call


def in_the_stream(scene: Scene) -> RequestId:
    call = scene.reply("stream")
    scene.client.event(call, "agent_message_delta")
    scene.kill()
    return call


def in_a_command(scene: Scene) -> RequestId:
    call = scene.reply("sleep")
    until(lambda: processes.named(processes.marked(scene.stage.run), "sleep"))
    scene.kill()
    return call


def in_a_patch(scene: Scene) -> RequestId:
    return scene.strike("in a patch", "patch")


def in_a_write(scene: Scene) -> RequestId:
    return scene.strike("in a write", "stream")


def after_the_last_write(scene: Scene) -> RequestId:
    return scene.strike("after the last write", "hello")


def while_an_approval_is_pending(scene: Scene) -> RequestId:
    stage, client = scene.stage, scene.client
    cautious = {"approval_policy": "untrusted", "sandbox": "danger-full-access"}
    call = client.codex("ask", cwd=stage.cwd, **cautious)
    question = client.until(lambda message: message.get("method") == "elicitation/create")
    scene.thread = client.event(call, "session_configured")["session_id"]
    for worker in scene.server.workers():
        worker.kill()
    result = client.result(call)
    withdrawn = client.until(lambda message: message.get("method") == "notifications/cancelled")
    assert withdrawn["params"]["requestId"] == question["id"]
    assert kind(result) == "worker_crashed"
    assert not (stage.workspace / "asked.txt").exists()
    return call


Step: TypeAlias = Callable[[Scene], RequestId]
CRASHED = "worker_crashed"
STEPS: Mapping[Step, str | None] = {
    before_it_is_ready: None,
    in_the_request: CRASHED,
    in_the_stream: CRASHED,
    in_a_command: CRASHED,
    in_a_patch: CRASHED,
    while_an_approval_is_pending: CRASHED,
    in_a_write: CRASHED,
    after_the_last_write: CRASHED,
}
"""Each step with what becomes of its call; a worker that dies before anything has begun is replaced unasked."""
FAULTS: frozenset[Step] = frozenset({before_it_is_ready, in_a_patch, in_a_write, after_the_last_write})
"""Those at which the worker dies by itself: no signal from outside comes so exactly."""


def is_consistent(request: RecordedRequest) -> bool:
    """Tell whether each call in what the model is told has one output, which comes after it."""
    waiting: Counter[str] = Counter()
    for item in inputs(request):
        if item["type"] in ("function_call", "custom_tool_call"):
            waiting[item["call_id"]] += 1
        elif item["type"] in ("function_call_output", "custom_tool_call_output"):
            waiting[item["call_id"]] -= 1
            if waiting[item["call_id"]] != 0:
                return False
    return not any(waiting.values())


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_a_death_at_any_step_costs_one_turn_at_most(stage: Stage, step: Step) -> None:
    die(stage, "fork", step)


@pytest.mark.parametrize("step", [before_it_is_ready, in_a_command], ids=lambda step: step.__name__)
def test_a_death_of_a_worker_that_was_spawned_costs_one_turn_at_most(stage: Stage, step: Step) -> None:
    """The engine has a part in how a worker starts and in what ends with it; the rest is the conversation's."""
    die(stage, "spawn", step)


def die(stage: Stage, engine: str, step: Step) -> None:
    """Let a worker die at a step, and check all that is promised of it."""
    scene = Scene(stage, engine, is_faulty=step in FAULTS)
    call = step(scene)
    result = scene.client.result(call)
    assert (kind(result) if result.get("isError") else None) == STEPS[step]
    assert scene.faults.carried_out()
    assert not processes.remaining(processes.named(processes.marked(stage.run), "sleep"), 2.0)
    assert text(scene.client.result(scene.reply("hello"))) == "Good day."
    assert [answer["id"] for answer in scene.client.answers()].count(call) == 1
    *_, last = stage.model.requests()
    assert is_consistent(last)
    assert said(last, "user")[-1] == "hello"
    assert stored_whole(stage.home.session(scene.thread))
    assert patched(stage) in ([], ["one.txt"], list(FILES))


def patched(stage: Stage) -> list[str]:
    """Return the files of the workspace."""
    return sorted(path.name for path in stage.workspace.iterdir())


def stored_whole(path: Path) -> bool:
    """Read every line of a session file, which raises for one that is torn."""
    return bool(list(records(path)))


def test_a_turn_that_was_saved_is_not_called_interrupted(stage: Stage) -> None:
    scene = Scene(stage, "fork")
    assert kind(scene.client.result(after_the_last_write(scene))) == "worker_crashed"
    scene.client.result(scene.reply("hello"))
    *_, last = stage.model.requests()
    assert said(last, "assistant") == ["Good day.", "Good day."]
    assert not any("stopped the previous turn" in words for words in said(last, "user"))


def test_a_patch_whose_outcome_is_unknown_is_said_to_be_so(stage: Stage) -> None:
    scene = Scene(stage, "fork")
    scene.client.result(in_a_patch(scene))
    assert patched(stage)[-1] == "one.txt", "it died in between"
    scene.client.result(scene.reply("hello"))
    assert patched(stage) == ["one.txt"], "what it was preparing is gone"
    *_, last = stage.model.requests()
    outputs: list[Message] = [item for item in inputs(last) if item["type"].endswith("_output")]
    assert ["not known" in output["output"] for output in outputs] == [True]
