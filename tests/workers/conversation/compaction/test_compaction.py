"""Compaction: room is made, what must last does, and a failure changes nothing."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from greenroom.protocol.errors import ModelError
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.item import ItemCompleted
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.user_messages import SUMMARY_PREFIX, is_user_message, summary_message
from greenroom.sessions.records.format import SessionRecord
from greenroom.workers.conversation.compaction.compacted_history import shortened
from greenroom.workers.conversation.compaction.compaction import WARNING, Compaction
from greenroom.workers.conversation.compaction.summarizer import Summarizer, lacks_room
from greenroom.workers.conversation.events.event_emitter import EventEmitter
from greenroom.workers.conversation.history.history import History
from greenroom.workers.conversation.history.history_entry import IMAGE_WEIGHT
from greenroom.workers.conversation.prompt.prompt import message, turn_aborted_message
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.model.client import OnRetry
from greenroom.workers.model.outcome.attempt import ModelRequestError
from greenroom.workers.model.outcome.retry import Retry
from greenroom.workers.model.request import ModelRequest, RequestEncoder
from greenroom.workers.model.responses import Completed, ItemDone, ModelEvent, ResponseUsage, TextDelta
from tests.support.events import members
from tests.workers.stubs import StubMailbox, StubModelSource, StubRecord, StubTurnContext

PROMPT = "Sum up."
LIMIT = 1000
NO_ROOM = ModelRequestError("Codex ran out of room in the model's context window.", "context_window_exceeded")
USAGE = ResponseUsage(input_tokens=90, output_tokens=10, total_tokens=100)


def said(role: str, text: str) -> JsonObject:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def call(call_id: str) -> JsonObject:
    return {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": call_id}


def output(call_id: str, text: str = "ok") -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


PERMISSIONS = cast("JsonObject", message("developer", "You may do all."))
PLACE = cast("JsonObject", message("user", "<environment_context>\n  <cwd>/x</cwd>\n</environment_context>"))
OTHER_PLACE = cast("JsonObject", message("user", "<environment_context>\n  <cwd>/y</cwd>\n</environment_context>"))
TALK = [PERMISSIONS, PLACE, said("user", "Build it."), said("assistant", "I do."), call("a"), output("a")]


def answer(text: str, usage: ResponseUsage | None = USAGE) -> list[ModelEvent]:
    return [TextDelta(b'"x"'), ItemDone(said("assistant", text)), Completed("", usage, end_turn=True)]


class ScriptedAnswers:
    """Gives its answers in turn, the last one for ever; raises those that are errors."""

    def __init__(self, *answers: list[ModelEvent] | ModelError) -> None:
        self._answers = list(answers)
        self.bodies: list[JsonObject] = []
        self.breaks = 0
        self.dropped = False

    @property
    def inputs(self) -> list[list[JsonObject]]:
        return [cast("list[JsonObject]", body["input"]) for body in self.bodies]

    async def stream(self, body: bytes, on_retry: OnRetry) -> AsyncGenerator[list[ModelEvent], None]:
        self.bodies.append(json.loads(body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, ModelError):
            raise answer
        for _ in range(self.breaks):
            yield [ItemDone(said("assistant", "half of"))]
            on_retry(Retry(0.0, announce=True, text="stream error"))
        try:
            yield answer
        except GeneratorExit:
            self.dropped = True
            raise


class Room:
    """A compaction with what it reports."""

    def __init__(self, model: ScriptedAnswers, items: list[JsonObject], *, limit: int = LIMIT) -> None:
        self.history = History(items)
        self.tokens = TokenCounter(None)
        self.record = StubRecord()
        emitter = EventEmitter(StubMailbox(), ConversationId("c"), "baseline", self._observe)
        self.events: list[JsonObject] = []
        transcript = Transcript(self.history, self.record, emitter)
        encoder = RequestEncoder(ModelRequest(model="m", conversation_id=ConversationId("c"), instructions="Be good."))
        summarizer = Summarizer(StubModelSource(model), encoder, transcript, PROMPT)
        self.compaction = Compaction(
            summarizer, transcript, self.tokens, StubTurnContext(), limit=limit, window_number=2
        )

    def _observe(self, event: Event) -> None:
        if not isinstance(event, ItemCompleted):
            self.events.append(members(event))

    @property
    def records(self) -> list[SessionRecord]:
        """The records of compactions, each with one of the settings that the new history describes."""
        assert [record.kind for record in self.record.added[1::2]] == ["turn_context"] * (len(self.record.added) // 2)
        return self.record.added[::2]

    @property
    def items(self) -> list[JsonObject]:
        return [entry.item for entry in self.history]

    @property
    def kinds(self) -> list[object]:
        return [event["type"] for event in self.events]

    def run(self) -> None:
        asyncio.run(self.compaction.run())

    def when_due(self) -> bool:
        return asyncio.run(self.compaction.when_due())


# What is left


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (TALK, [PERMISSIONS, PLACE, said("user", "Build it.")]),
        (
            [said("user", "one"), summary_message("older"), turn_aborted_message(), said("user", "two")],
            [said("user", "one"), said("user", "two")],
        ),
        ([PLACE, said("user", "one"), OTHER_PLACE, PLACE], [OTHER_PLACE, PLACE, said("user", "one")]),
        ([], []),
    ],
    ids=["only context and the user", "no earlier summary", "the last word on the surroundings", "nothing"],
)
def test_what_must_last_does_and_the_summary_comes_last(items: list[JsonObject], expected: list[JsonObject]) -> None:
    assert shortened(History(items), "S", 10_000) == [*expected, summary_message("S")]


def test_newest_messages_of_the_user_stay_and_the_oldest_of_them_is_cut() -> None:
    texts = ["a" * 300, "b" * 300, "c" * 300]
    kept = shortened(History(said("user", text) for text in texts), "S", 850)
    (first, second, third, _) = kept
    assert second == said("user", texts[1])
    assert third == said("user", texts[2])
    (part,) = cast("list[dict[str, str]]", first["content"])
    assert part["text"].endswith("a […]")
    assert len(part["text"]) <= 110


def test_image_that_does_not_fit_goes_and_its_text_stays() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 1000}
    item: JsonObject = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look"}, image]}
    assert shortened(History([item]), "S", 500) == [said("user", "Look"), summary_message("S")]
    assert shortened(History([item]), "S", 2 * IMAGE_WEIGHT)[0] == item


def test_an_image_counts_for_what_it_costs_the_model_not_for_its_bytes() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 1_000_000}
    room = Room(ScriptedAnswers(answer("S")), [{"type": "message", "role": "user", "content": [image]}], limit=2000)
    assert not room.when_due()
    assert IMAGE_WEIGHT < room.history.size < IMAGE_WEIGHT + 200


@given(
    st.lists(
        st.builds(
            said,
            st.sampled_from(["user", "assistant", "developer"]),
            st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\')),
        ),
        max_size=12,
    ),
    st.integers(0, 400),
)
def test_user_messages_keep_to_the_budget_and_a_second_time_changes_nothing(
    items: list[JsonObject], budget: int
) -> None:
    kept = History(shortened(History(items), "S", budget))
    slack = len(json.dumps(said("user", " […]")))
    assert sum(len(entry.encoded) for entry in kept if entry.is_user) <= budget + slack
    assert all(is_user_message(entry.item) == entry.is_user for entry in kept)
    assert [entry.item for entry in kept][-1] == summary_message("S")
    unlimited = shortened(kept, "S", 10**6)
    assert shortened(History(unlimited), "S", 10**6) == unlimited


# When


def test_it_is_due_when_the_last_response_used_the_limit() -> None:
    for total, due in ((LIMIT - 1, False), (LIMIT, True)):
        room = Room(ScriptedAnswers(answer("S")), TALK)
        room.compaction.note(ResponseUsage(total_tokens=total))
        assert room.when_due() == due


def test_what_came_since_the_last_response_is_estimated() -> None:
    room = Room(ScriptedAnswers(answer("S")), TALK)
    room.compaction.note(ResponseUsage(total_tokens=LIMIT - 100))
    room.history.append(output("a", "x" * 100))
    assert room.compaction.used < LIMIT
    room.history.append(said("user", "x" * 400))
    assert room.compaction.used >= LIMIT


@pytest.mark.parametrize("usage", [None, ResponseUsage()])
def test_without_usage_all_is_estimated(usage: ResponseUsage | None) -> None:
    room = Room(ScriptedAnswers(answer("S")), [said("user", "x" * LIMIT * 4)])
    room.compaction.note(usage)
    assert room.when_due()
    assert room.compaction.used < LIMIT


def test_one_that_does_not_help_is_not_tried_again_in_the_same_turn() -> None:
    model = ScriptedAnswers(answer("S" * 400))
    room = Room(model, TALK, limit=50)
    assert room.when_due()
    assert not room.when_due()
    room.compaction.begin_turn()
    assert room.when_due()
    assert len(model.bodies) == 2


# How


def test_a_run_asks_for_a_summary_and_puts_it_in_the_place_of_the_history() -> None:
    model = ScriptedAnswers(answer("All is built."))
    room = Room(model, TALK)
    room.run()
    assert model.inputs == [[*TALK, said("user", PROMPT)]]
    assert model.bodies[0]["tools"] == []
    expected = [PERMISSIONS, PLACE, said("user", "Build it."), summary_message("All is built.")]
    assert room.items == expected
    assert room.kinds == ["token_count", "token_count", "context_compacted", "warning"]
    estimate = cast("JsonObject", room.events[1]["info"])
    assert cast("JsonObject", estimate["last_token_usage"])["total_tokens"] == room.compaction.used
    assert estimate["total_token_usage"] == structs.asdict(USAGE)
    assert room.events[-1]["message"] == WARNING
    assert room.tokens.total == USAGE
    (record,) = room.records
    payload = cast("JsonObject", record.payload)
    assert record.kind == "compacted"
    assert (payload["message"], payload["window_number"]) == ("All is built.", 3)
    assert payload["replacement_history"] == expected


def test_a_server_without_usage_can_be_asked_as_well() -> None:
    room = Room(ScriptedAnswers(answer("S", usage=None)), TALK)
    room.run()
    assert room.kinds == ["token_count", "context_compacted", "warning"]


def test_only_the_last_text_is_the_summary() -> None:
    first: list[ModelEvent] = [ItemDone(said("assistant", "I think.")), ItemDone(call("z"))]
    room = Room(ScriptedAnswers([*first, *answer("S")]), TALK)
    room.run()
    assert room.items[-1] == summary_message("S")


def test_what_came_before_a_broken_stream_is_void() -> None:
    model = ScriptedAnswers([Completed("", None, end_turn=True)])
    model.breaks = 1
    room = Room(model, TALK)
    with pytest.raises(ModelError, match="no summary"):
        room.run()
    assert room.kinds == ["stream_error"]


def test_a_history_that_does_not_fit_loses_its_oldest_part_for_the_request_only() -> None:
    items = [PERMISSIONS, *(said("user", f"{number}" * 100) for number in range(8)), call("a"), output("a")]
    model = ScriptedAnswers(NO_ROOM, NO_ROOM, answer("S"))
    room = Room(model, items)
    room.run()
    first, second, third = (len(asked) for asked in model.inputs)
    assert first > second > third
    assert model.inputs[2][-3:] == [call("a"), output("a"), said("user", PROMPT)]
    assert room.items[0] == PERMISSIONS


def test_a_prompt_that_never_fits_ends_it() -> None:
    model = ScriptedAnswers(NO_ROOM)
    room = Room(model, TALK)
    with pytest.raises(ModelError):
        room.run()
    assert len(model.bodies) <= len(TALK)
    assert room.items == TALK


# What goes wrong


@pytest.mark.parametrize("trouble", [ModelRequestError("no"), answer(""), answer(" \n")])
def test_failure_changes_nothing_and_the_conversation_goes_on(trouble: list[ModelEvent] | ModelError) -> None:
    model = ScriptedAnswers(trouble)
    room = Room(model, TALK, limit=1)
    with pytest.raises(ModelError):
        room.run()
    assert not room.when_due()
    assert not room.when_due(), "it was told once, and is not tried again in this turn"
    assert len(model.bodies) == 2
    assert room.items == TALK
    assert room.kinds == ["warning"]
    assert not room.records


def test_being_cancelled_changes_nothing() -> None:
    class Silent(ScriptedAnswers):
        async def stream(self, body: bytes, on_retry: OnRetry) -> AsyncGenerator[list[ModelEvent], None]:
            try:
                yield answer("S")[:2]
                await asyncio.Event().wait()
            finally:
                self.dropped = True

    model = Silent(answer("S"))
    room = Room(model, TALK)

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await room.compaction.run()

    asyncio.run(scenario())
    assert model.dropped
    assert room.items == TALK
    assert not room.records


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NO_ROOM, True),
        (ModelRequestError("unexpected status 400 Bad Request: maximum context length is 4096 tokens"), True),
        (ModelRequestError("the request exceeds the available context size"), True),
        (ModelRequestError("Connection failed: no"), False),
    ],
)
def test_full_context_is_recognised_in_the_words_of_several_servers(error: ModelError, expected: bool) -> None:
    assert lacks_room(error) == expected


def rescue(room: Room, error: ModelError) -> bool:
    return asyncio.run(room.compaction.rescue(error))


def test_a_request_that_did_not_fit_is_worth_repeating_after_a_compaction() -> None:
    room = Room(ScriptedAnswers(answer("S")), TALK)
    assert not rescue(room, ModelRequestError("no"))
    assert not room.events
    assert rescue(room, NO_ROOM)
    assert room.kinds[0] == "stream_error", "what the model had said until then is void"
    assert room.items[-1] == summary_message("S")
    assert not rescue(room, NO_ROOM), "it did not help"
    room.compaction.note(USAGE)
    assert rescue(room, NO_ROOM)


@pytest.mark.parametrize("items", [[PERMISSIONS, PLACE, said("user", "Build it.")], []])
def test_nothing_is_summed_up_where_a_summary_would_take_the_place_of_nothing(items: list[JsonObject]) -> None:
    model = ScriptedAnswers(answer("S"))
    room = Room(model, items)
    assert not rescue(room, NO_ROOM)
    assert not model.bodies
    assert not room.events
    assert room.items == items


def test_a_message_of_an_earlier_turn_that_does_not_fit_is_cut() -> None:
    room = Room(ScriptedAnswers(answer("S")), [said("user", "long " * LIMIT)])
    assert rescue(room, NO_ROOM)
    assert len(json.dumps(room.items)) < LIMIT * 4


# What the user has just said

LONG = said("user", "long " * LIMIT)


def test_a_message_that_was_never_sent_is_neither_cut_nor_summed_up() -> None:
    model = ScriptedAnswers(answer("S"))
    room = Room(model, [PERMISSIONS, PLACE])
    room.history.append_input(LONG)
    assert not room.when_due()
    assert not rescue(room, NO_ROOM), "there is nothing to make room of"
    assert not model.bodies
    assert room.items == [PERMISSIONS, PLACE, LONG]


def test_a_message_that_waits_for_its_answer_stands_behind_the_summary_of_what_came_before() -> None:
    model = ScriptedAnswers(answer("S"))
    room = Room(model, TALK)
    room.history.append_input(LONG)
    assert room.when_due()
    assert model.inputs == [[*TALK, said("user", PROMPT)]]
    assert room.items == [PERMISSIONS, PLACE, summary_message("S"), LONG], "the older message has no budget left"


def test_steering_keeps_its_place_behind_what_the_turn_has_done() -> None:
    room = Room(ScriptedAnswers(answer("S"), answer("T")), [PERMISSIONS])
    room.history.append_input(LONG)
    room.history.append(call("a"))
    room.history.append(output("a"))
    room.history.append_input(said("user", "Stop that."))
    room.run()
    assert room.items == [PERMISSIONS, LONG, summary_message("S"), said("user", "Stop that.")]
    room.history.append(said("assistant", "Stopped."))
    room.run()
    assert room.items == [PERMISSIONS, LONG, said("user", "Stop that."), summary_message("T")]


TEXTS = st.text(max_size=40) | st.sampled_from(
    ["<environment_context>x</environment_context>", "# AGENTS.md instructions for /x</INSTRUCTIONS>", SUMMARY_PREFIX]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("input"), TEXTS),
        st.tuples(st.just("answer"), TEXTS),
        st.tuples(st.just("compact"), TEXTS.filter(str.strip)),
        st.tuples(st.just("rescue"), TEXTS.filter(str.strip)),
    ),
    max_size=10,
)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "developer"]), TEXTS), max_size=6), STEPS)
def test_what_the_user_says_to_a_turn_outlasts_its_compactions_word_for_word_and_in_order(
    before: list[tuple[str, str]], steps: list[tuple[str, str]]
) -> None:
    room = Room(ScriptedAnswers(answer("S")), [said(*part) for part in before], limit=8)
    room.history.begin_turn()
    spoken: list[JsonObject] = []
    for step, words in steps:
        if step == "input":
            spoken.append(said("user", words))
            room.history.append_input(spoken[-1])
        elif step == "answer":
            room.history.append(said("assistant", words))
        elif step == "compact":
            room.run()
        else:
            room.compaction.note(None)
            rescue(room, NO_ROOM)
        assert [entry.item for entry in room.history.inputs] == spoken
        entries = list(room.history)
        places = [index for index, entry in enumerate(entries) if any(entry is said for said in room.history.inputs)]
        assert len(places) == len(spoken)
        assert [entries[place].item for place in places] == spoken


def test_what_a_turn_was_told_is_of_an_earlier_one_when_the_next_begins() -> None:
    room = Room(ScriptedAnswers(answer("S")), [PERMISSIONS])
    room.history.append_input(LONG)
    room.history.begin_turn()
    room.run()
    assert LONG not in room.items


@pytest.mark.parametrize("change", [Compaction.begin_turn, lambda compaction: compaction.note(None)])
def test_failed_rescue_leaves_the_error_to_the_turn(change: Callable[[Compaction], None]) -> None:
    room = Room(ScriptedAnswers(NO_ROOM), TALK)
    assert not rescue(room, NO_ROOM)
    assert room.items == TALK
    change(room.compaction)
    assert not rescue(room, NO_ROOM)


def test_summary_is_not_taken_for_what_the_user_said_the_next_time() -> None:
    room = Room(ScriptedAnswers(answer("first"), answer("second")), TALK)
    room.run()
    room.run()
    texts = json.dumps(room.items, ensure_ascii=False)
    assert texts.count(json.dumps(SUMMARY_PREFIX)[1:-1]) == 1
    assert "first" not in texts
