"""Runs tell programs the same as runs of the reference, but for a kept list of differences."""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from benchmarks.reference_program import NEWEST, Missing, ensure_reference
from greenroom.demo.script import Call, CommandStep, FailStep, PatchStep, ReasoningStep, Text, rule
from tests.support.exec import ANYWHERE, PROGRAM, Ran, run
from tests.support.model import Model, said
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]  # the first run on a machine downloads the reference

Events: TypeAlias = list[dict[str, Any]]

MODEL: Final = ("-m", "gpt-5.5")
"""Both programs know it, and give it the same tools."""
RULES: Final = (
    rule(
        "look", [ReasoningStep("Hm."), Text("I look."), CommandStep(("sh", "-c", "echo here; exit 3"))], [Text("Seen.")]
    ),
    rule("patch", [PatchStep("*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch")], [Text("Patched.")]),
    rule("run on", [Call("exec_command", {"cmd": "sleep 20", "yield_time_ms": 250})], [Text("Left.")]),
    rule("fail", [FailStep(400, {"error": {"message": "nope"}})]),
    rule("", [Text("Hello.")]),
)


def without_wording(events: Events) -> Events:
    """Errors of the model's server are worded otherwise, and name the address."""
    if events and events[-1]["type"] == "turn.failed":
        events[-1]["error"]["message"] = "…"
        return [{**event, "message": "…"} if event["type"] == "error" else event for event in events]
    return events


def without_commands_that_run_on(events: Events) -> Events:
    """A command that still runs is told to have failed, where the reference never tells its end."""
    ended = {
        event["item"]["id"]
        for event in events
        if event["type"] == "item.completed" and event["item"].get("exit_code", 0) is not None
    }
    return [event for event in events if "item" not in event or event["item"]["id"] in ended]


def without_the_path_of_the_shell(events: Events) -> Events:
    """The reference names the shell by its path."""
    for event in events:
        if event.get("item", {}).get("type") == "command_execution":
            event["item"]["command"] = event["item"]["command"].removeprefix("/bin/")
    return events


def without_the_profile(events: Events) -> Events:
    """The reference runs commands in a login shell whose profile may write something first."""
    for event in events:
        if event.get("item", {}).get("type") == "command_execution":
            event["item"]["aggregated_output"] = event["item"]["aggregated_output"].splitlines()[-1:]
    return events


DIFFERENCES: Final[tuple[Callable[[Events], Events], ...]] = (
    without_wording,
    without_commands_that_run_on,
    without_the_path_of_the_shell,
    without_the_profile,
)
"""What is not compared; each says why."""


@dataclass(frozen=True)
class Both:
    """The two programs."""

    stage: Stage
    model: Model
    reference: str
    reference_home: Path

    def ours(self, *arguments: str, stdin: str = "") -> Ran:
        return run(self.stage, *arguments, stdin=stdin, program=PROGRAM)

    def theirs(self, *arguments: str, stdin: str = "") -> Ran:
        home = {"CODEX_HOME": str(self.reference_home)}
        return run(self.stage, *arguments, stdin=stdin, program=(self.reference, "exec"), **home)


@pytest.fixture(scope="module")
def reference() -> str:
    found = ensure_reference(release=NEWEST)
    if isinstance(found, Missing):
        pytest.skip(found.reason)
    return found.path


@pytest.fixture
def both(stage: Stage, reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Both:
    monkeypatch.setenv("HOME", str(tmp_path))  # without a profile of the shell
    model = stage.play(*RULES, top='model_reasoning_summary = "auto"')
    home = tmp_path / "home-of-the-reference"
    home.mkdir()
    shutil.copy(stage.home.config, home)
    return Both(stage, model, reference, home)


def compared(ran: Ran) -> Events:
    """Return the events without what differs from run to run, and between the programs."""
    events = ran.events
    for event in events:
        if "thread_id" in event:
            assert re.fullmatch(r"[0-9a-f-]{36}", event.pop("thread_id"))
    for leave_out in DIFFERENCES:
        events = leave_out(events)
    return events


@pytest.mark.parametrize("prompt", ["hi", "look", "patch", "run on", "fail"])
def test_a_turn_is_told_alike(both: Both, prompt: str) -> None:
    ran = []
    for program in (both.theirs, both.ours):
        (both.stage.workspace / "a.txt").unlink(missing_ok=True)
        ran.append(program("--json", ANYWHERE, *MODEL, prompt))
    theirs, ours = ran
    assert ours.status == theirs.status
    assert compared(ours) == compared(theirs)


STATUSES: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "without Git": (("hi",), ""),
    "without a prompt": ((ANYWHERE,), "  \n"),
    "unknown argument": (("hi", "--bogus"), ""),
    "unknown sandbox": (("hi", "-s", "bogus"), ""),
    "no directory": (("hi", ANYWHERE, "-C", "/nonexistent"), ""),
    "no provider": (("hi", ANYWHERE, "-c", "model_provider=nope"), ""),
    "no value": (("hi", ANYWHERE, "-c", "approval_policy=bogus"), ""),
    "no assignment": (("hi", ANYWHERE, "-c", "foo"), ""),
    "no schema": (("hi", ANYWHERE, "--output-schema", "/nonexistent/s.json"), ""),
    "no file": (("hi", ANYWHERE, "-o", "/nonexistent/last.txt"), ""),
    "no conversation": (("resume", "01a22689-2499-79a2-a72c-1ae8d7824261", "x", ANYWHERE), ""),
    "no sandbox, without Git": (("hi", "--dangerously-bypass-approvals-and-sandbox"), ""),
}


@pytest.mark.parametrize("name", STATUSES)
def test_a_run_ends_with_the_same_status(both: Both, name: str) -> None:
    arguments, stdin = STATUSES[name]
    theirs, ours = (program(*MODEL, *arguments, stdin=stdin) for program in (both.theirs, both.ours))
    assert (ours.status, ours.out) == (theirs.status, theirs.out)


@pytest.mark.parametrize(
    ("arguments", "stdin"), [(("do",), "more"), (("do",), "more\n\n"), ((), " all\n"), (("-",), "x")]
)
def test_the_model_is_told_the_same(both: Both, arguments: tuple[str, ...], stdin: str) -> None:
    messages = []
    for program in (both.theirs, both.ours):
        assert program(ANYWHERE, *MODEL, *arguments, stdin=stdin).out == "Hello.\n"
        messages.append(said(both.model.requests()[-1], "user")[-1])
    assert messages[0] == messages[1]


def test_either_program_goes_on_with_what_the_other_has_begun(both: Both) -> None:
    homes = (both.stage.home.path, both.reference_home)
    for begins, goes_on in ((both.ours, both.theirs), (both.theirs, both.ours)):
        thread = begins("--json", ANYWHERE, *MODEL, "hi").thread
        for source, target in (homes, homes[::-1]):
            if (source / "sessions").is_dir():
                shutil.copytree(source / "sessions", target / "sessions", dirs_exist_ok=True)
        ran = goes_on("--json", ANYWHERE, *MODEL, "resume", thread, "look")
        assert ran.thread == thread
        messages = said(both.model.requests()[-1], "user")
        assert "hi" in messages
        assert messages[-1] == "look"
        assert ran.events[-1]["usage"]["input_tokens"] == 300
