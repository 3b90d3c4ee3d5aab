"""The shell tool tells the client what happens as it happens, and the model how it ended."""

import asyncio
import base64
from pathlib import Path

import msgspec
import psutil
import pytest
from msgspec.structs import replace

from greenroom.protocol.events.command import ExecCommandOutputDelta
from greenroom.protocol.events.event import Event
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.tools.context import ToolOutput
from greenroom.workers.tools.registry import call
from tests.workers.tools.conftest import Conversation, Conversations


def output(told: ToolOutput) -> tuple[str, object]:
    envelope = msgspec.json.decode(told.text, type=dict[str, object])
    metadata = msgspec.convert(envelope["metadata"], dict[str, object])
    assert list(metadata) == ["exit_code", "duration_seconds"]
    assert isinstance(metadata["duration_seconds"], float)
    return str(envelope["output"]), metadata["exit_code"]


def test_the_model_gets_output_exit_code_and_duration(conversation: Conversation) -> None:
    told = conversation.run(command=["echo", "hi"])
    assert (told.success, told.items) == (True, ())
    assert output(told) == ("hi\n", 0)


def test_the_client_sees_begin_output_and_end(conversation: Conversation) -> None:
    conversation.run(command=["echo", "hi"])
    begin, delta, end = conversation.events
    facts = {
        "call_id": "call_1",
        "turn_id": "turn_1",
        "command": ["echo", "hi"],
        "cwd": "/",
        "parsed_cmd": [{"type": "unknown", "cmd": "echo hi"}],
        "source": "agent",
    }
    assert begin == {"type": "exec_command_begin", **facts}
    assert delta == {
        "type": "exec_command_output_delta",
        "call_id": "call_1",
        "stream": "stdout",
        "chunk": base64.b64encode(b"hi\n").decode(),
    }
    duration = msgspec.convert(end.pop("duration"), dict[str, int])
    assert duration["secs"] >= 0
    assert 0 <= duration["nanos"] < 1_000_000_000
    assert any(duration.values())
    assert end == {
        "type": "exec_command_end",
        **facts,
        "stdout": "hi\n",
        "stderr": "",
        "aggregated_output": "hi\n",
        "exit_code": 0,
        "formatted_output": "hi\n",
        "status": "completed",
    }


def test_a_failing_command_shows_both_streams(conversation: Conversation) -> None:
    told = conversation.run(command="echo out; echo err >&2; exit 3")
    text, exit_code = output(told)
    assert (sorted(text.splitlines()), exit_code, told.success) == (["err", "out"], 3, False)
    end = conversation.events[-1]
    assert (end["stdout"], end["stderr"], end["exit_code"], end["status"]) == ("out\n", "err\n", 3, "failed")


@pytest.mark.parametrize("name", ["shell", "container.exec"])
def test_a_plain_text_runs_in_a_shell_under_either_name(conversation: Conversation, name: str) -> None:
    assert output(conversation.call(name, {"command": "echo a | cat"})) == ("a\n", 0)
    assert conversation.events[0]["command"] == ["bash", "-lc", "echo a | cat"]


@pytest.mark.parametrize(
    ("workdir", "expected"), [(None, "{cwd}"), ("", "{cwd}"), ("sub", "{cwd}/sub"), ("sub/..", "{cwd}"), ("/", "/")]
)
def test_the_directory_is_resolved_against_that_of_the_conversation(
    begin: Conversations, tmp_path: Path, workdir: str | None, expected: str
) -> None:
    (tmp_path / "sub").mkdir()
    conversation = begin(tmp_path)
    expected = expected.format(cwd=tmp_path)
    assert output(conversation.run(command=["pwd"], workdir=workdir)) == (f"{expected}\n", 0)
    assert conversation.events[0]["cwd"] == expected


@pytest.mark.parametrize("limit", ["timeout", "timeout_ms"])
def test_a_timeout_is_told_with_what_was_written(conversation: Conversation, limit: str) -> None:
    told = conversation.call("shell", {"command": ["sh", "-c", "echo early; sleep 1000"], limit: 1000})
    assert told == ToolOutput("command timed out after 1000 milliseconds\nearly\n", success=False)
    end = conversation.events[-1]
    assert (end["exit_code"], end["stdout"], end["status"]) == (-1, "early\n", "failed")
    assert end["stderr"] == "command timed out after 1000 milliseconds"


def test_a_death_by_signal_is_told(conversation: Conversation) -> None:
    told = conversation.run(command=["sh", "-c", "echo early; kill -9 $$"])
    assert told == ToolOutput("execution error: command was killed by SIGKILL\nearly\n", success=False)


def test_what_cannot_be_started_is_told(conversation: Conversation) -> None:
    told = conversation.run(command=["no-such-program"])
    reason = "execution error: cannot run no-such-program: No such file or directory"
    assert told == ToolOutput(reason, success=False)
    assert conversation.order == ["exec_command_begin", "exec_command_end"]
    assert conversation.events[-1]["stderr"] == reason
    assert conversation.run(command=[]).text == "execution error: command args are empty"


@pytest.mark.parametrize(
    "arguments",
    [{}, {"command": 5}, {"command": [1]}, {"command": "ls", "timeout_ms": -1}, {"command": "ls", "workdir": 1}],
)
def test_arguments_that_do_not_fit_run_nothing(conversation: Conversation, arguments: dict[str, object]) -> None:
    assert conversation.call("shell", arguments).text.startswith("failed to parse function arguments: ")
    assert conversation.events == []


def test_arguments_that_nobody_knows_are_ignored(conversation: Conversation) -> None:
    assert output(conversation.run(command=["true"], timeout_ms=None, timeout=0, with_escalated_permissions=True)) == (
        "",
        0,
    )


def test_output_over_the_budget_is_cut_in_the_middle(begin: Conversations) -> None:
    conversation = begin(budget=OutputBudget.of_tokens(10))
    text, _ = output(conversation.run(command=["seq", "1000"]))
    assert text == (
        "Warning: truncated output (original token count: 974)\nTotal output lines: 1000\n\n"
        "1\n2\n3\n4\n5\n6\n7\n8\n9\n10…964 tokens truncated…96\n997\n998\n999\n1000\n"
    )
    end = conversation.events[-1]
    assert end["formatted_output"] == text
    assert end["aggregated_output"] == "".join(f"{number}\n" for number in range(1, 1001))


def test_a_large_budget_is_honoured(begin: Conversations) -> None:
    text, _ = output(begin(budget=OutputBudget(300_000)).run(command=["head", "-c", "200000", "/dev/zero"]))
    assert len(text) == 200_000


def test_a_stopped_turn_kills_the_command_and_ends_it_for_the_client(conversation: Conversation) -> None:
    before = psutil.Process().children()

    async def stop_when_it_runs() -> None:
        task = asyncio.create_task(call("shell", "call_1", '{"command":["yes"]}', conversation.context))
        await conversation.delta.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stop_when_it_runs())
    assert conversation.order[0] == "exec_command_begin"
    assert conversation.order[-1] == "exec_command_end"
    assert conversation.events[-1]["exit_code"] == -1
    assert psutil.Process().children() == before


def test_events_are_waited_for_while_the_client_is_slow(conversation: Conversation) -> None:
    taken: list[Event] = []

    async def take(event: Event) -> None:
        await asyncio.sleep(0)
        taken.append(event)

    flood = '{"command":["head","-c","100000","/dev/zero"]}'
    asyncio.run(call("shell", "call_1", flood, replace(conversation.context, emit=take)))
    chunks = [event.chunk for event in taken if isinstance(event, ExecCommandOutputDelta)]
    assert sum(len(base64.b64decode(chunk)) for chunk in chunks) == 100_000
