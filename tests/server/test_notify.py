"""The user's `notify` program hears of every turn that comes to its end, and the history file of what was said."""

import stat
from pathlib import Path
from typing import Any

import msgspec
import psutil

from greenroom.demo.script import FailStep, Text, rule
from tests.support.client import thread_id
from tests.support.deadline import until
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
BROKEN = rule("break", [FailStep(400, "no")])


def program(stage: Stage, body: str) -> str:
    """Write a program, and return the setting that names it."""
    path = stage.workspace / "notify"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f'notify = ["{path}", "first"]'


def notes(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def test_the_program_is_told_of_each_turn_that_ends_well(stage: Stage, engine: str) -> None:
    told = stage.workspace / "told"
    stage.play(HELLO, BROKEN, top=program(stage, f'[ "$1" = first ] && printf "%s\\n" "$2" >> {told}'))
    client = stage.serve(engine).client
    conversation = thread_id(client.result(client.codex("hello there", cwd=stage.cwd)))
    until(lambda: len(notes(told)) == 1)
    client.result(client.reply(conversation, "break"))
    client.result(client.reply(conversation, "hello again"))
    until(lambda: len(notes(told)) == 2)
    first, second = notes(told)
    turn = first.pop("turn-id")
    assert first == {
        "type": "agent-turn-complete",
        "thread-id": conversation,
        "cwd": stage.cwd,
        "input-messages": ["hello there"],
        "last-assistant-message": "Good day.",
    }
    assert second["input-messages"] == ["hello again"]
    assert second["turn-id"] != turn


def test_a_program_that_does_not_end_holds_up_nothing_and_ends_with_the_conversation(stage: Stage) -> None:
    pid = stage.workspace / "pid"
    stage.play(HELLO, top=program(stage, f"echo $$ > {pid}.new && mv {pid}.new {pid}; exec sleep 600"))
    server = stage.serve("fork")
    server.client.result(server.client.codex("hello"))
    until(pid.exists)
    assert server.leave() == 0
    until(lambda: not psutil.pid_exists(int(pid.read_text())))


def test_a_program_that_there_is_not_costs_a_line_of_the_log(stage: Stage) -> None:
    stage.play(HELLO, top='notify = ["/nonexistent/program"]')
    client = stage.serve("fork").client
    assert "isError" not in client.result(client.codex("hello"))
    until(lambda: "cannot be started: /nonexistent/program" in stage.told())


def test_what_the_user_said_is_remembered_where_that_is_wanted(stage: Stage, engine: str) -> None:
    stage.play(HELLO, top='history.persistence = "save-all"\nhistory.max_bytes = 100000')
    client = stage.serve(engine).client
    conversation = thread_id(client.result(client.codex("hello there")))
    client.result(client.reply(conversation, "hello again"))
    path = stage.home.path / "history.jsonl"
    until(lambda: len(notes(path)) == 2)
    assert [(entry["session_id"], entry["text"]) for entry in notes(path)] == [
        (conversation, "hello there"),
        (conversation, "hello again"),
    ]


def test_nothing_is_remembered_unasked(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.serve("fork")
    server.client.result(server.client.codex("hello"))
    assert server.leave() == 0
    assert not (stage.home.path / "history.jsonl").exists()
