"""Each step of a turn in words: one short line, free of control characters, about what a person wants to know."""

import asyncio
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.events.event import Event
from greenroom.protocol.events.file_change import AddedFile, ChangesByPath
from greenroom.workers.conversation import step_reporter
from greenroom.workers.conversation.step import LONGEST, Beginning, begun, done, one_line
from greenroom.workers.conversation.step_reporter import StepReporter
from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.model.responses import ResponseUsage
from tests.support.events import event
from tests.support.loop import until

TOOK = {"secs": 3, "nanos": 240_000_000}
TESTS = {"command": ["bash", "-lc", "pytest -q"], "call_id": "a"}
REMOTE = {"invocation": {"server": "docs", "tool": "find", "arguments": {}}, "call_id": "a"}


def files(*paths: str) -> ChangesByPath:
    return dict.fromkeys(paths, AddedFile(""))


PLAN = [{"step": "read", "status": "completed"}, {"step": "write", "status": "in_progress"}]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (event("exec_command_begin", **TESTS), "running pytest -q"),
        (event("patch_apply_begin", call_id="a", changes=files("/x/a.py", "/x/b.py")), "changing a.py, b.py"),
        (event("mcp_tool_call_begin", **REMOTE), "calling docs/find"),
        (event("web_search_begin", call_id="a"), "searching the web"),
    ],
)
def test_what_goes_on_is_told_when_it_begins(told: Beginning, words: str) -> None:
    assert isinstance(told, Beginning)
    assert begun(told) == words
    assert done(told) is None


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (event("exec_command_end", **TESTS, exit_code=1, duration=TOOK), "exit code 1 after 3.2 s: pytest -q"),
        (
            event("patch_apply_end", success=True, changes=files(*(f"/x/{n}" for n in range(5)))),
            "changed 0, 1, 2 and 2 more",
        ),
        (event("patch_apply_end", success=False, changes=files("/x/a")), "could not change a"),
        (event("mcp_tool_call_end", **REMOTE, duration=TOOK, result={"Ok": {}}), "docs/find answered after 3.2 s"),
        (event("mcp_tool_call_end", **REMOTE, duration=TOOK, result={"Err": "no"}), "docs/find failed after 3.2 s"),
        (event("plan_update", plan=PLAN), "step 2 of 2: write"),
        (event("plan_update", plan=PLAN[:1]), "1 of 1 steps of the plan are done"),
        (event("plan_update", plan=[]), None),
        (event("agent_message", message="\n \x1b\nFirst.\nSecond."), "First."),
        (event("agent_message", message=" "), None),
        (event("context_compacted"), "shortened the conversation"),
        (event("web_search_end", query="cats"), "searched the web for cats"),
        (event("token_count"), None),
    ],
)
def test_what_is_over_is_told_with_how_it_ended(told: Event, words: str | None) -> None:
    assert done(told) == words
    assert not isinstance(told, Beginning)


@given(st.text(), st.integers(1, 300))
def test_a_line_is_one_short_and_free_of_what_controls(text: str, longest: int) -> None:
    line = one_line(text, longest)
    assert len(line) <= longest
    assert len(line.splitlines()) <= 1
    assert not {unicodedata.category(char) for char in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert one_line(line, longest) == line


@given(st.lists(st.text(max_size=400), max_size=4), st.integers(0, 10**12))
def test_no_step_is_longer_than_was_promised(words: list[str], tokens: int) -> None:
    async def scene() -> None:
        told: list[str] = []
        for told_event in (
            event("exec_command_begin", command=words, call_id="a"),
            event("exec_command_end", command=words, call_id="a", exit_code=-1, duration=TOOK),
            event("agent_message", message="\n".join(words)),
            event("patch_apply_begin", call_id="b", changes=files(*words)),
        ):
            reporter = StepReporter(told.append, TokenCounter(None, ResponseUsage(total_tokens=tokens)))
            reporter.are_wanted = True
            reporter.take(told_event)
            reporter.stop()
        assert all(len(text) <= LONGEST for text in told)

    asyncio.run(scene())


def test_what_is_under_way_is_what_began_last_and_has_not_ended() -> None:
    async def scene() -> None:
        told: list[str] = []
        reporter = StepReporter(told.append, TokenCounter(None, ResponseUsage(total_tokens=1234)))
        reporter.are_wanted = True
        assert str(reporter.present) == ""
        reporter.take(event("exec_command_begin", command=["make"], call_id="a"))
        reporter.take(event("patch_apply_begin", changes=files("/x"), call_id="b"))
        assert reporter.present == "changing x (1,234 tokens)"
        reporter.take(event("patch_apply_end", changes=files("/x"), call_id="b", success=True))
        assert reporter.present == "running make (1,234 tokens)"
        assert told == ["running make (1,234 tokens)"]
        await until(lambda: len(told) == 2)
        assert told[1] == "changed x (1,234 tokens)", "of what came too soon the latest is told"
        reporter.take(event("agent_message", message="of this turn"))
        reporter.begin_turn()
        assert str(reporter.present) == ""
        reporter.take(event("agent_message", message="of the next"))
        await until(lambda: len(told) == 3)
        assert told[2].startswith("of the next")
        reporter.stop()

    assert step_reporter.INTERVAL >= 0.25
    asyncio.run(scene())


def test_what_is_under_way_is_known_where_no_step_is_reported() -> None:
    told: list[str] = []
    reporter = StepReporter(told.append, TokenCounter(None, None))
    reporter.take(event("exec_command_begin", command=["make"], call_id="a"))
    assert (reporter.present, told) == ("running make", [])
