"""Whatever happens in a turn, its items begin and end once, and one line ends it."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.events.thread_item import (
    AgentMessage,
    AnyItem,
    CommandExecution,
    FileChanges,
    McpToolCall,
    Reasoning,
    UserMessage,
    WebSearch,
)
from greenroom.protocol.events.tool import PlanStep
from greenroom.protocol.events.turn import TokenInfo, TokenUsage
from greenroom.supervisor.frontend.exec.event_lines import EventLines
from greenroom.supervisor.frontend.exec.report_text import ReportText
from greenroom.supervisor.frontend.thread_items import update
from greenroom.supervisor.frontend.thread_items.update import Fault, Update

ENDED: Final = update.TurnFinished(status="completed", started_at=1, completed_at=2, duration_ms=1000)


def told(*steps: Update) -> list[dict[str, Any]]:
    lines = EventLines()
    return [msgspec.json.decode(line) for step in steps for line in lines.tell(step)]


def whole(item: AnyItem) -> tuple[Update, Update]:
    return update.ItemBegan(item, 1), update.ItemEnded(item, 2)


def test_each_kind_of_item_has_its_form() -> None:
    result: dict[str, Any] = {"content": [], "structuredContent": 7}
    call = McpToolCall(id="m", server="s", tool="t", arguments={"a": 1}, status="completed", result=result)
    failed = McpToolCall(id="f", server="s", tool="t", status="failed", error={"message": "no"})
    events = told(
        *whole(UserMessage(id="u", content=[{"type": "text", "text": "hi"}])),
        *whole(Reasoning(id="r", summary_text=["One", "Two"])),
        *whole(Reasoning(id="q")),
        *whole(call),
        *whole(failed),
        *whole(WebSearch(id="w", query="q", action={"type": "search"})),
    )
    assert [event["item"] for event in events if event["type"] == "item.completed"] == [
        {"type": "reasoning", "id": "item_0", "text": "One\nTwo"},
        {
            "type": "mcp_tool_call",
            "id": "item_1",
            "server": "s",
            "tool": "t",
            "arguments": {"a": 1},
            "result": {"content": [], "structured_content": 7},
            "error": None,
            "status": "completed",
        },
        {
            "type": "mcp_tool_call",
            "id": "item_2",
            "server": "s",
            "tool": "t",
            "arguments": None,
            "result": None,
            "error": {"message": "no"},
            "status": "failed",
        },
        {"type": "web_search", "id": "item_3", "query": "q", "action": {"type": "search"}},
    ]


def test_a_repeated_request_and_a_failure_are_told() -> None:
    fault = Fault("lost")
    events = told(
        update.Retried(fault), update.Failed(fault), msgspec.structs.replace(ENDED, status="failed", fault=fault)
    )
    assert events == [
        {"type": "error", "message": "lost"},
        {"type": "error", "message": "lost"},
        {"type": "turn.failed", "error": {"message": "lost"}},
    ]


def test_a_turn_that_nothing_has_failed_was_interrupted() -> None:
    (event,) = told(msgspec.structs.replace(ENDED, status="interrupted"))
    assert event == {"type": "turn.failed", "error": {"message": "turn interrupted"}}


def test_a_plan_is_one_item_which_changes_until_the_turn_ends() -> None:
    steps = (update.PlanChanged(None, [PlanStep("one", status)]) for status in ("pending", "completed"))
    events = told(*steps, ENDED)
    assert [(event["type"], event["item"]["items"]) for event in events[:-1]] == [
        ("item.started", [{"text": "one", "completed": False}]),
        ("item.updated", [{"text": "one", "completed": True}]),
        ("item.completed", [{"text": "one", "completed": True}]),
    ]
    assert {event["item"]["id"] for event in events[:-1]} == {"item_0"}


def test_the_tokens_are_those_of_the_conversation_as_last_counted() -> None:
    last = TokenUsage(1, 0, 0, 1, 0, 2)
    counted = [update.TokensCounted(TokenInfo(TokenUsage(n, 2, 3, 4, 5, n), last, None), None) for n in (7, 9)]
    event = told(*counted, update.TokensCounted(None, None), ENDED)[-1]
    assert event["usage"] == {
        "input_tokens": 9,
        "cached_input_tokens": 2,
        "cache_write_input_tokens": 3,
        "output_tokens": 4,
        "reasoning_output_tokens": 5,
    }


ITEMS: Final[st.SearchStrategy[AnyItem]] = st.sampled_from(
    [
        AgentMessage(id="a", content=[{"type": "Text", "text": "hm"}]),
        AgentMessage(id="b"),
        Reasoning(id="c", summary_text=["hm"]),
        CommandExecution(id="d", command=["ls"], cwd="/"),
        CommandExecution(id="e", command=["sleep", "9"], cwd="/", process_id="1", exit_code=0, status="completed"),
        FileChanges(id="f"),
        McpToolCall(id="g"),
        WebSearch(id="h"),
    ]
)
STEPS: Final = st.lists(
    st.one_of(
        ITEMS.map(lambda item: update.ItemBegan(item, 1)),
        ITEMS.map(lambda item: update.ItemEnded(item, 2)),
        st.builds(update.PlanChanged, st.none(), st.just([PlanStep("one", "pending")])),
        st.just(update.Warned("careful")),
        st.just(update.Retried(Fault("again"))),
    ),
    max_size=20,
)


def possible(steps: Iterable[Update]) -> list[Update]:
    """Return the steps without those that the tracker never yields: second beginnings and second ends."""
    seen: set[tuple[type, str]] = set()
    kept: list[Update] = []
    for step in steps:
        match step:
            case update.ItemBegan(item) | update.ItemEnded(item):
                if (type(step), item.id) in seen or (update.ItemEnded, item.id) in seen:
                    continue
                seen.add((type(step), item.id))
        kept.append(step)
    return kept


@given(STEPS)
def test_all_that_begins_ends_once(steps: list[Update]) -> None:
    events = told(*possible(steps), ENDED)
    begun = [event["item"]["id"] for event in events if event["type"] == "item.started"]
    ended = [event["item"]["id"] for event in events if event["type"] == "item.completed"]
    assert len(set(begun)) == len(begun)
    assert len(set(ended)) == len(ended)
    assert set(begun) <= set(ended)
    assert sorted(ended, key=lambda name: int(name.removeprefix("item_"))) == [f"item_{n}" for n in range(len(ended))]
    assert [event["type"] for event in events].index("turn.completed") == len(events) - 1


@given(st.text())
def test_people_are_shown_nothing_that_controls_a_terminal(text: str) -> None:
    command = CommandExecution(
        id="d", command=["echo", text], cwd=f"/{text}", aggregated_output=text, exit_code=0, status="completed"
    )
    report = ReportText(text, colored=False)
    steps = (
        *whole(command),
        *whole(AgentMessage(id="a", content=[{"type": "Text", "text": text}])),
        update.Warned(text),
    )
    shown = b"".join(piece for step in steps for piece in report.tell(step)).decode()
    assert not any(ord(character) < 32 and character != "\n" for character in shown)
    assert "\x9b" not in shown
