"""The turn loop asks, runs what is called, and asks again; what it tells and keeps is in the order it happened."""

import asyncio
import json
from typing import Any

import pytest

from greenroom.protocol.errors import ModelError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.compaction.compaction import Compaction
from greenroom.workers.conversation.compaction.summarizer import Summarizer
from greenroom.workers.conversation.events.event_emitter import EventEmitter
from greenroom.workers.conversation.history.history import History
from greenroom.workers.conversation.injected_items import InjectedItems
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.conversation.turn.response_reader import ResponseReader
from greenroom.workers.conversation.turn.turn import TurnLoop
from greenroom.workers.conversation.turn_activity import TurnActivity
from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.model.outcome.attempt import SealedHistoryError
from greenroom.workers.model.outcome.retry import Retry
from greenroom.workers.model.request import ModelRequest, RequestEncoder
from greenroom.workers.model.responses import (
    ItemDone,
    ReasoningDelta,
    ReasoningSummaryDelta,
    SearchBegun,
    SectionBreak,
)
from tests.support.loop import on_loop, until
from tests.workers.stubs import (
    Line,
    StubGoal,
    StubMailbox,
    StubModel,
    StubModelSource,
    StubRecord,
    StubTurnContext,
    called,
    delta,
    done,
    said,
)

AGAIN = Retry(after_seconds=0.0, text="stream error: x; retrying 1/5 in 0ms…", announce=True)
REASONING: JsonObject = {
    "type": "reasoning",
    "id": "rs_1",
    "encrypted_content": "g",
    "summary": [{"type": "summary_text", "text": "Why."}],
}
RAW: JsonObject = {**REASONING, "content": [{"type": "reasoning_text", "text": "Because."}]}


class Stage:
    """A turn loop with everything around it played by stubs, which share one log of what happened."""

    def __init__(self, *responses: list[Line], show_raw_reasoning: bool = False) -> None:
        self.log: list[str] = []
        self.model = StubModel(*responses)
        self.history = History()
        self.record = StubRecord(self.log)
        self.mailbox = StubMailbox(self.log)
        self.calls: list[JsonObject] = []
        self.meanwhile: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.activity = TurnActivity()
        self.source = StubModelSource(self.model)
        tokens = TokenCounter(1000)
        emitter = EventEmitter(self.mailbox, ConversationId("c"), "baseline")
        transcript = Transcript(self.history, self.record, emitter)
        reader = ResponseReader(self.source, self, transcript, self.mailbox, show_raw_reasoning=show_raw_reasoning)
        summarizer = Summarizer(self.source, RequestEncoder(_request()), transcript, "Sum up.")
        compaction = Compaction(summarizer, transcript, tokens, StubTurnContext(), limit=10**6)
        injected = InjectedItems(transcript)
        self.loop = TurnLoop(reader, transcript, self, self, compaction, tokens, injected, StubGoal())

    async def run(self) -> str | None:
        return await self.loop.run(self.activity)

    async def emit_diff(self) -> None:
        self.log.append("diff")

    async def take(self) -> bool:
        taken, self.meanwhile = self.meanwhile, []
        for text in taken:
            self.history.append({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
        return bool(taken)

    async def encoder(self) -> RequestEncoder:
        return RequestEncoder(_request())

    async def call(self, call: JsonObject) -> str:
        self.calls.append(call)
        self.log.append(f"call {call['call_id']}")
        await self.gate.wait()
        self.log.append(f"end {call['call_id']}")
        return f"output of {call['call_id']}"

    def input(self, request: int) -> list[dict[str, Any]]:
        items = self.model.bodies[request]["input"]
        assert isinstance(items, list)
        return items


def _request() -> ModelRequest:
    return ModelRequest(
        model="m",
        conversation_id=ConversationId("c"),
        instructions="i",
        tools=[],
        parallel_tool_calls=False,
        supports_reasoning=False,
    )


@on_loop
async def test_a_plain_answer_is_told_kept_and_returned() -> None:
    stage = Stage([[delta("Good "), delta("day.")], [said("Good day."), done()]])
    assert await stage.run() == "Good day."
    assert stage.mailbox.kinds == ["agent_message_delta", "agent_message_delta", "agent_message", "token_count"]
    assert [event["delta"] for event in stage.mailbox.events[:2]] == ["Good ", "day."]
    assert [item["type"] for item in stage.record.items] == ["message"]
    assert [event["type"] for event in stage.record.kept] == ["agent_message", "token_count"], "deltas are not kept"


SEALED = SealedHistoryError("unexpected status 400 Bad Request")


@on_loop
async def test_reasoning_of_another_account_is_left_out_once_the_server_refuses_it() -> None:
    """After a change of the login in mid-conversation; what can be read stays."""
    stage = Stage([SEALED], [[said("Good day."), done()]])
    stage.history.extend([REASONING, {**RAW, "encrypted_content": None}, said("Hm.").item])
    assert await stage.run() == "Good day."
    assert [item["type"] for item in stage.input(0)] == ["reasoning", "reasoning", "message"]
    assert [item["type"] for item in stage.input(1)] == ["reasoning", "message"]
    assert "encrypted_content" not in stage.input(1)[0]


@on_loop
async def test_a_server_that_goes_on_refusing_is_believed() -> None:
    stage = Stage([SEALED], [SEALED])
    stage.history.append(REASONING)
    with pytest.raises(SealedHistoryError):
        await stage.run()
    assert len(stage.model.bodies) == 2


@on_loop
async def test_deltas_are_passed_on_as_the_server_wrote_them() -> None:
    from greenroom.workers.model.responses import TextDelta

    raw = rb'"\u00e9\ud83d\ude00 \/ \n"'
    stage = Stage([[TextDelta(raw), said("x"), done()]])
    await stage.run()
    assert raw in stage.mailbox.raw[0]


@on_loop
async def test_calls_run_one_after_the_other_before_the_next_request() -> None:
    stage = Stage([[said("First."), called("a"), called("b"), done()]], [[said("Then."), done()]])
    assert await stage.run() == "Then."
    order = [entry for entry in stage.log if entry.startswith(("call", "end"))]
    assert order == ["call a", "end a", "call b", "end b"]
    first, second = stage.mailbox.kinds.index("token_count"), len(stage.model.bodies)
    assert stage.log.index("end b") < stage.log.index("token_count"), "the count of a response follows its calls"
    assert stage.log[stage.log.index("token_count") + 1] == "diff", "what patches came to follows the count"
    assert (first, second) == (1, 2)
    items = stage.input(1)
    assert [item["type"] for item in items] == [
        "message",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
    ]
    assert [item["output"] for item in items[-2:]] == ["output of a", "output of b"]


@on_loop
async def test_what_will_be_run_is_written_down_before_it_runs() -> None:
    stage = Stage([[called("a"), called("b"), done()]], [[said("x"), done()]])
    await stage.run()
    assert stage.log.index("keep function_call") < stage.log.index("write") < stage.log.index("call a")
    assert "write" in stage.log[stage.log.index("end a") : stage.log.index("call b")]


@on_loop
async def test_nothing_is_run_of_a_response_that_breaks() -> None:
    stage = Stage(
        [[called("void"), said("void")], AGAIN, [called("real"), done()]],
        [[said("x"), done()]],
    )
    assert await stage.run() == "x"
    assert [call["call_id"] for call in stage.calls] == ["real"]
    assert [item.get("call_id") for item in stage.record.items if item["type"] == "function_call"] == ["real"]
    (retry,) = [event for event in stage.mailbox.events if event["type"] == "stream_error"]
    assert retry["message"] == AGAIN.text


@on_loop
async def test_a_failure_is_raised_to_the_caller_of_the_turn() -> None:
    stage = Stage([[delta("x")], ModelError("no more")])
    with pytest.raises(ModelError, match="no more"):
        await stage.run()
    assert stage.record.items == []


@on_loop
async def test_reasoning_is_told_in_sections_and_kept() -> None:
    stage = Stage([[SectionBreak(), ReasoningSummaryDelta(b'"Why."'), ItemDone(dict(REASONING)), said("x"), done()]])
    await stage.run()
    assert stage.mailbox.kinds[:3] == ["agent_reasoning_section_break", "agent_reasoning_delta", "agent_reasoning"]
    assert stage.mailbox.events[2]["text"] == "Why."
    assert stage.record.items[0]["encrypted_content"] == "g"


@on_loop
async def test_a_search_of_the_web_is_told_once_and_kept() -> None:
    searched = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "tides"}}
    opened = {"type": "web_search_call", "id": "ws_2", "action": {"type": "open_page", "url": "https://a.example"}}
    unsaid = {"type": "web_search_call"}
    items = [ItemDone(dict(item)) for item in (searched, opened, unsaid)]
    stage = Stage([[SearchBegun("ws_1"), *items, said("High."), done()]])
    await stage.run()
    told = [(event["type"], event["call_id"], event["query"]) for event in stage.mailbox.events if "call_id" in event]
    assert told == [
        ("web_search_begin", "ws_1", ""),
        ("web_search_end", "ws_1", "tides"),
        ("web_search_begin", "ws_2", ""),
        ("web_search_end", "ws_2", "https://a.example"),
        ("web_search_begin", "", ""),
        ("web_search_end", "", ""),
    ]
    assert [event["type"] for event in stage.record.kept if "search" in str(event["type"])] == ["web_search_end"] * 3
    assert [item["type"] for item in stage.record.items] == ["web_search_call"] * 3 + ["message"]


@pytest.mark.parametrize("show", [False, True])
def test_raw_reasoning_is_shown_only_to_who_asked_for_it(show: bool) -> None:
    async def scene() -> None:
        response: list[Line] = [[ReasoningDelta(b'"Because."'), ItemDone(dict(RAW)), said("x"), done()]]
        stage = Stage(response, show_raw_reasoning=show)
        await stage.run()
        raw = [kind for kind in stage.mailbox.kinds if "raw" in kind]
        assert raw == (["agent_reasoning_raw_content_delta", "agent_reasoning_raw_content"] if show else [])

    asyncio.run(scene())


@on_loop
async def test_a_model_that_is_not_done_is_asked_again() -> None:
    stage = Stage([[said("Wait."), done(end_turn=False)]], [[said("Now."), done()]])
    assert await stage.run() == "Now."
    assert len(stage.model.bodies) == 2


@on_loop
async def test_the_answer_is_the_last_message_of_the_last_response() -> None:
    stage = Stage([[said("Before."), called("a"), done()]], [[ItemDone(dict(REASONING)), done()]])
    assert await stage.run() is None
    stage = Stage([[said("One."), said("Two."), done()]])
    assert await stage.run() == "Two."


@on_loop
async def test_a_response_without_a_count_is_no_error() -> None:
    stage = Stage([[said("x"), done(usage=None)]])
    await stage.run()
    assert "token_count" not in stage.mailbox.kinds


@on_loop
async def test_a_client_that_does_not_read_holds_up_the_reading() -> None:
    stage = Stage([[delta("a")], [delta("b")], [said("ab"), done()]])
    stage.mailbox.pressed = True
    await stage.run()
    assert stage.mailbox.drained == 1


@on_loop
async def test_a_turn_that_is_stopped_in_a_call_closes_its_calls_and_counts_what_they_cost() -> None:
    stage = Stage([[called("a"), called("b"), done()]])
    stage.gate.clear()
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.calls)
    assert "shell" in stage.activity.doing
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    stage.loop.close("aborted by user")
    outputs = [(item["call_id"], item["output"]) for item in stage.record.items[-2:]]
    assert outputs == [("a", "aborted by user"), ("b", "aborted by user")]
    assert stage.mailbox.kinds[-1] == "token_count"
    stage.loop.close("aborted by user")
    assert stage.mailbox.kinds.count("token_count") == 1, "nothing is counted twice"


@on_loop
async def test_a_turn_that_is_stopped_while_the_model_thinks_drops_the_answer() -> None:
    left = asyncio.Event()

    class Silent(StubModel):
        async def stream(self, body: bytes, on_retry: object) -> Any:
            try:
                yield [delta("hm")]
                await asyncio.Event().wait()
            finally:
                left.set()

    stage = Stage()
    stage.source.model = Silent()
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.mailbox.raw)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert left.is_set(), "the connection is dropped before the turn is over"


@on_loop
async def test_a_freeform_call_is_answered_in_its_own_form() -> None:
    item: JsonObject = {"type": "custom_tool_call", "call_id": "p", "name": "apply_patch", "input": "*** Begin Patch"}
    stage = Stage([[ItemDone(item), done()]], [[said("x"), done()]])
    await stage.run()
    assert stage.input(1)[-1] == {"type": "custom_tool_call_output", "call_id": "p", "output": "output of p"}


@on_loop
async def test_a_model_that_uses_a_call_id_twice_gets_both_outputs() -> None:
    stage = Stage([[called("a"), called("a"), done()]], [[said("x"), done()]])
    assert await stage.run() == "x"
    assert [item["type"] for item in stage.input(1)].count("function_call_output") == 2


@on_loop
async def test_each_request_holds_all_that_was_said_before() -> None:
    stage = Stage([[called("a"), done()]], [[called("b"), done()]], [[said("x"), done()]])
    await stage.run()
    first, second, third = (json.dumps(stage.input(number))[:-1] for number in range(3))
    assert second.startswith(first)
    assert third.startswith(second)


@on_loop
async def test_what_is_said_meanwhile_is_read_before_the_next_request_and_the_turn_goes_on() -> None:
    stage = Stage([[said("One."), done()]], [[said("Both."), done()]])
    stage.meanwhile.append("and this")
    assert await stage.run() == "Both."
    (last,) = [item for item in stage.input(1) if item.get("role") == "user"]
    assert last["content"] == [{"type": "input_text", "text": "and this"}]
