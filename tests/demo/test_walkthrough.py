"""The walk tells what happens, and fails where a server does not do its part."""

import io
import sys
from collections.abc import Mapping

import msgspec
import pytest

from greenroom.demo import walkthrough
from greenroom.demo.narration import Narrator, ShownCommand, Terminal


def told(*events: Mapping[str, object]) -> tuple[Narrator, str]:
    out = io.StringIO()
    narrator = Narrator(Terminal(out, colour=False))
    for event in events:
        narrator.heard("codex/event", msgspec.Raw(msgspec.json.encode({"id": "1", "msg": event})))
    return narrator, out.getvalue()


def test_text_is_told_as_it_arrives_and_once_although_it_has_two_names() -> None:
    pieces = ("Hel", "lo")
    narrator, text = told(
        *(
            event
            for piece in pieces
            for event in (
                {"type": "agent_message_delta", "delta": piece},
                {"type": "agent_message_content_delta", "delta": piece, "item_id": "msg_1"},
            )
        ),
        {"type": "agent_message", "message": "Hello"},
    )
    assert text == "  model   Hello\n"
    assert (narrator.turn.deltas, narrator.turn.text) == (2, "Hello")


@pytest.mark.parametrize("chunk", ["aGkK", [104, 105, 10]])
def test_a_command_is_told_with_its_output_in_either_form(chunk: str | list[int]) -> None:
    narrator, text = told(
        {"type": "exec_command_begin", "call_id": "c", "command": ["bash", "-lc", "echo hi"], "cwd": "."},
        {"type": "exec_command_output_delta", "call_id": "c", "stream": "stdout", "chunk": chunk},
        {"type": "exec_command_end", "call_id": "c", "exit_code": 0, "stdout": "hi\n", "stderr": ""},
    )
    assert narrator.turn.commands == [ShownCommand("echo hi", 0, "hi\n")]
    assert text.splitlines() == ["  runs    $ echo hi", "          hi"]


def test_output_that_was_not_streamed_is_told_at_the_end() -> None:
    narrator, text = told(
        {"type": "exec_command_begin", "call_id": "c", "command": ["false"], "cwd": "."},
        {"type": "exec_command_end", "call_id": "c", "exit_code": 1, "stdout": "", "stderr": "no\n"},
    )
    assert narrator.turn.commands == [ShownCommand("false", 1, "no\n")]
    assert text.splitlines() == ["  runs    $ false", "          no", "          exit code 1"]


def test_a_plan_and_a_problem_are_told() -> None:
    steps = [{"step": "write", "status": "completed"}, {"step": "read", "status": "pending"}]
    narrator, text = told(
        {"type": "plan_update", "explanation": None, "plan": steps},
        {"type": "error", "message": "it broke"},
        {"type": "task_complete", "last_agent_message": None},
    )
    assert "[x] write  [ ] read" in text
    assert narrator.turn.problems == ["it broke"]
    assert narrator.turn.completed


def test_events_that_nobody_needs_to_see_are_passed_over() -> None:
    narrator, text = told({"type": "item_started", "delta": {"of": "another kind"}}, {"type": "token_count"})
    assert text == ""
    assert narrator.turn.deltas == 0


def test_colours_are_used_only_when_asked_for() -> None:
    plain, coloured = io.StringIO(), io.StringIO()
    Terminal(plain, colour=False).line("ok", "well", "good")
    Terminal(coloured, colour=True).line("ok", "well", "good")
    assert "\033" not in plain.getvalue()
    assert "\033[32mwell\033[0m" in coloured.getvalue()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("pass", "the server closed its standard output"),
        ('input(); print(\'{"id":1,"error":{"code":-1}}\')', 'initialize was refused: {"code":-1}'),
        ("input(); print('hello')", "malformed"),
    ],
)
def test_the_walk_fails_where_the_server_does(program: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert walkthrough.run_walkthrough([sys.executable, "-I", "-c", program]) == 1
    said = capsys.readouterr().out
    assert "The model is a script" in said
    assert reason in said


def test_the_walk_fails_where_there_is_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert walkthrough.run_walkthrough(["./no-such-server"]) == 1
    assert "cannot be started" in capsys.readouterr().out
