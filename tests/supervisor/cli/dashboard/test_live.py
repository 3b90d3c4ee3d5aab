"""What is being written is shown until the session file has it, and is told as differences whatever is missed."""

import base64
import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.display import clean_lines
from greenroom.supervisor.cli.dashboard.live import MOST_LIVE, OVERDUE, LiveConversation, LivePassage
from greenroom.supervisor.cli.dashboard.passage_text import LONGEST, MISSING, GrowingText
from greenroom.supervisor.cli.dashboard.transcript import Entry, PlanEntry
from greenroom.supervisor.control.watch_messages import WatchBegan, WatchedEvents, WatchedTurnEnded, WatchGap

PLACE: Final = {"thread_id": "c", "turn_id": "t"}
AGENT, REASONING, COMMAND = "msg", "rs", "call"


class Page:
    """What a page shows of what it was told."""

    def __init__(self) -> None:
        self.live = LiveConversation()
        self.live.take(WatchBegan(), 0.0)
        self.texts: dict[str, str] = {}
        self.plan: tuple[PlanEntry, ...] | None = None
        self.told: list[LivePassage] = []
        self.now = 0.0

    def tell(self, *events: dict[str, Any]) -> "Page":
        self.live.take(WatchedEvents([msgspec.Raw(json.dumps(event).encode()) for event in events]), self.now)
        return self.look()

    def look(self) -> "Page":
        news = self.live.news(self.now)
        if news is None:
            self.told = []
            return self
        for key in news.over:
            del self.texts[key]
        self.told = list(news.passages)
        for one in self.told:
            self.texts[one.id] = (self.texts[one.id] if one.is_more else "") + one.text
        self.plan = self.plan if news.plan is None else news.plan
        return self


def begun(kind: str = AGENT, **facts: Any) -> dict[str, Any]:
    items: dict[str, dict[str, Any]] = {
        AGENT: {"type": "AgentMessage", "content": []},
        REASONING: {"type": "Reasoning"},
        COMMAND: {"type": "CommandExecution", "command": ["make"], "cwd": "/w"},
    }
    return {"type": "item_started", **PLACE, "item": {"id": kind, **items[kind], **facts}, "started_at_ms": 1}


def ended(kind: str = AGENT, text: str = "", **facts: Any) -> dict[str, Any]:
    final: dict[str, dict[str, Any]] = {
        AGENT: {"content": [{"type": "Text", "text": text}]},
        REASONING: {"summary_text": [text]},
        COMMAND: {"aggregated_output": text, "status": "completed"},
    }
    event = begun(kind, **final[kind], **facts)
    return {**event, "type": "item_completed", "completed_at_ms": 2}


def piece(delta: str, kind: str = AGENT, **facts: Any) -> dict[str, Any]:
    if kind == COMMAND:
        chunk = base64.b64encode(delta.encode()).decode()
        return {"type": "exec_command_output_delta", "call_id": COMMAND, "stream": "stdout", "chunk": chunk}
    if kind == REASONING:
        return {"type": "reasoning_content_delta", **PLACE, "item_id": REASONING, "delta": delta, **facts}
    return {"type": "agent_message_content_delta", **PLACE, "item_id": AGENT, "delta": delta}


TURN: Final = {
    "type": "task_started",
    "turn_id": "t",
    "started_at": 1,
    "model_context_window": None,
    "collaboration_mode_kind": "default",
}
COMPLETE: Final = {
    "type": "task_complete",
    "turn_id": "t",
    "last_agent_message": "hello",
    "started_at": 1,
    "completed_at": 2,
    "duration_ms": 1000,
}


def test_a_text_grows_and_only_what_is_new_is_told() -> None:
    page = Page().tell(TURN, begun(), piece("Hel"))
    assert page.told == [LivePassage(AGENT, "agent", "Hel", is_more=False)]
    page.tell(piece("lo, "), piece("world"))
    assert page.told == [LivePassage(AGENT, "agent", "lo, world", is_more=True)]
    assert page.texts == {AGENT: "Hello, world"}
    assert page.look().told == []


def test_it_goes_once_the_session_file_has_it_and_not_before() -> None:
    page = Page().tell(TURN, begun(), piece("hello"), ended(text="hello"))
    assert page.texts == {AGENT: "hello"}
    page.live.written([Entry(1, "agent", "hello")])
    assert page.look().texts == {}


def test_what_the_file_had_before_its_end_was_told_goes_at_its_end() -> None:
    page = Page().tell(TURN, begun(), piece("hello"))
    page.live.written([Entry(1, "agent", "hello")])
    assert page.look().texts == {AGENT: "hello"}, "it is not known yet whether that is all"
    assert page.tell(ended(text="hello")).texts == {}


def test_what_somebody_else_has_said_meanwhile_does_not_take_its_place() -> None:
    page = Page().tell(TURN, begun(), piece("hello"), ended(text="hello"))
    page.live.written([Entry(1, "user", "go")])
    assert page.look().texts == {AGENT: "hello"}


def test_the_same_words_of_an_earlier_turn_are_not_taken_for_it() -> None:
    page = Page()
    page.live.written([Entry(1, "agent", "hello")])
    assert page.tell(TURN, begun(), piece("hello"), ended(text="hello")).texts == {AGENT: "hello"}


def test_a_page_that_comes_later_says_so_until_the_whole_is_known() -> None:
    page = Page().tell(piece("and so on"))
    assert page.texts == {AGENT: f"{MISSING}and so on"}
    assert page.tell(ended(text="First this, and so on")).texts == {AGENT: "First this, and so on"}


def test_after_a_gap_nothing_is_pieced_together() -> None:
    page = Page().tell(TURN, begun(), piece("One. "))
    page.live.take(WatchGap(), page.now)
    assert page.look().texts == {}
    assert page.tell(piece("Three.")).texts == {AGENT: f"{MISSING}Three."}


def test_reasoning_and_the_output_of_a_command_grow_too() -> None:
    page = Page().tell(TURN, begun(REASONING), piece("Hm", REASONING, summary_index=0))
    page.tell(piece("Well", REASONING, summary_index=1), begun(COMMAND), piece("a\n", COMMAND), piece("b\n", COMMAND))
    assert page.texts == {REASONING: "Hm\nWell", COMMAND: "a\nb"}
    page.live.written([Entry(1, "output", "a\nb\nc")])
    assert page.tell(ended(COMMAND, "a\nb\nc\n")).texts == {REASONING: "Hm\nWell"}


def test_the_plan_is_told_when_it_changes() -> None:
    steps = [{"step": "look", "status": "completed"}, {"step": "mend\u202e", "status": "in_progress"}]
    page = Page().tell(TURN, {"type": "plan_update", "explanation": None, "plan": steps})
    assert page.plan == (PlanEntry("look", "completed"), PlanEntry("mend", "in_progress"))


def test_an_answer_that_begins_anew_takes_its_pieces_back() -> None:
    error = {"type": "stream_error", "message": "gone", "codex_error_info": None, "additional_details": None}
    page = Page().tell(TURN, begun(), piece("half"), error)
    assert page.texts == {}


@pytest.mark.parametrize("is_told", [True, False], ids=["its end is told", "its process dies"])
def test_at_the_end_of_a_turn_all_goes_after_a_while_also_what_is_never_written(is_told: bool) -> None:
    page = Page().tell(TURN, begun(), piece("half"), begun(COMMAND), piece("x", COMMAND))
    if is_told:
        page.tell(COMPLETE)
    page.live.take(WatchedTurnEnded(), page.now)
    assert page.look().texts == {AGENT: "half", COMMAND: "x"}
    page.now += OVERDUE
    assert page.look().texts == {}
    assert page.tell({**TURN, "turn_id": "u"}, begun(), piece("next")).texts == {AGENT: "next"}


def test_the_file_is_looked_at_when_it_may_have_grown_and_not_for_each_piece() -> None:
    page = Page().tell(TURN, begun())
    page.live.is_to_be_written = False
    assert not page.tell(piece("a"), piece("b")).live.is_to_be_written
    assert page.tell(ended(text="ab")).live.is_to_be_written


def test_raw_reasoning_is_not_shown_as_the_transcript_does_not() -> None:
    raw = {"type": "reasoning_raw_content_delta", **PLACE, "item_id": REASONING, "delta": "secret", "content_index": 0}
    assert Page().tell(TURN, begun(REASONING), raw).texts == {}


def test_what_is_no_event_is_passed_over() -> None:
    page = Page()
    page.live.take(WatchedEvents([msgspec.Raw(b"{}"), msgspec.Raw(b'{"type":"agent_message_content_delta"}')]), 0.0)
    assert page.look().texts == {}


def test_only_so_many_are_live() -> None:
    page = Page().tell(TURN, *({**begun(), "item": {**begun()["item"], "id": f"m{n}"}} for n in range(2 * MOST_LIVE)))
    assert len(page.live._passages) == MOST_LIVE


# Texts


def test_the_beginning_of_a_long_text_is_left_out() -> None:
    text = GrowingText()
    for number in range(10_000):
        text.grow(f"line {number}\n")
        assert len(text.shown) <= 3 * LONGEST
    assert text.shown.startswith(MISSING)
    assert text.shown.endswith("line 9999")


@given(st.lists(st.text(max_size=8), max_size=12), st.booleans())
def test_pieces_come_to_the_same_as_the_whole(pieces: list[str], is_partial: bool) -> None:
    text = GrowingText(is_partial=is_partial)
    for one in pieces:
        text.grow(one)
    lines = ("".join(pieces)).split("\n")
    whole = "\n".join("\n".join(clean_lines(line.expandtabs(4))) for line in lines).strip("\n")
    assert text.shown.removeprefix(MISSING if is_partial else "").strip("\n") == whole


@given(st.lists(st.text(st.characters(exclude_categories=[]), max_size=20), max_size=8))
def test_no_piece_controls_or_hides_anything(pieces: list[str]) -> None:
    text = GrowingText()
    for one in (*pieces, "a\x1b", "[31m\u202eb\x00\r"):
        text.grow(one)
    text.shown.encode()
    assert not {"\x1b", "\u202e", "\x00", "\r"} & set(text.shown)
