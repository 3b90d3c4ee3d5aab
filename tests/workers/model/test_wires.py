"""A turn with a tool call goes the same way over both APIs: request, stream, tool, second request, answer."""

import asyncio
import json
from typing import Any, cast

import pytest

from greenroom.config.tables.providers import WireApi
from greenroom.demo.script import (
    Call,
    Disconnect,
    FailedEvent,
    First,
    MalformedStep,
    Quote,
    ReasoningStep,
    Script,
    ScriptedAction,
    Text,
    make_script,
    rule,
)
from greenroom.demo.scripted_model import ScriptedModel
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.compaction.compaction import Compaction
from greenroom.workers.conversation.compaction.summarizer import Summarizer
from greenroom.workers.conversation.events.event_emitter import EventEmitter
from greenroom.workers.conversation.history.history import History
from greenroom.workers.conversation.injected_items import InjectedItems
from greenroom.workers.conversation.prompt.prompt import input_message
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.conversation.turn.response_reader import ResponseReader
from greenroom.workers.conversation.turn.turn import TurnLoop
from greenroom.workers.conversation.turn_activity import TurnActivity
from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.mailbox import Mailbox
from greenroom.workers.model.client import ModelClient
from greenroom.workers.model.codec import Encoder, decoder_factory, make_encoder
from greenroom.workers.model.credentials.credential import Bearer
from greenroom.workers.model.request import ModelRequest
from greenroom.workers.model.transport.endpoint import ModelEndpoint
from tests.workers.stubs import StubGoal, StubModelSource, StubRecord, StubTurnContext

PATHS: dict[WireApi, str] = {"responses": "/responses", "chat": "/chat/completions"}
ID = ConversationId("01a20312-0577-77d3-9bb9-ad78bbf82560")
LOOK = make_script(
    rule(
        "look",
        [ReasoningStep("Where am I?"), Text(("I will ", "look.")), Call("shell", {"n": 1}), Call("shell", {"n": 2})],
        [Quote("It said ")],
    )
)


class Nobody:
    """Credentials of a server that asks for none."""

    async def bearer(self) -> Bearer:
        return Bearer(None, mode="none")

    def answered(self, bearer: Bearer, date: str | None) -> None:
        return

    async def rejected(self, bearer: Bearer, status: int) -> bool:
        return False


class Ears(StubRecord):
    """The mailbox and the record: they hear everything."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[JsonObject] = []
        self.pressed = False

    def emit(self, event: bytes) -> None:
        self.events.append(json.loads(event))


class Scene:
    """A turn without steering, whose tool has two outputs."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._outputs = iter(("first", "second"))

    async def encoder(self) -> Encoder:
        return self._encoder

    async def call(self, call: JsonObject) -> str:
        return next(self._outputs)

    async def emit_diff(self) -> None: ...

    async def take(self) -> bool:
        return False


async def turn(wire_api: WireApi, played: Script, history: History) -> tuple[str | None, Ears, list[JsonObject]]:
    """Run a turn and return its last message, its events and the bodies of its requests."""
    ears = Ears()
    tool: JsonObject = {"type": "function", "name": "shell", "description": "", "strict": False, "parameters": {}}
    async with ScriptedModel(played) as server:
        request = ModelRequest(model="m", conversation_id=ID, instructions="Be good.", tools=[tool])
        endpoint = ModelEndpoint(url=server.base_url + PATHS[wire_api], originator="test", user_agent="test/1")
        client = ModelClient(endpoint, Nobody(), ID, new_decoder=decoder_factory(wire_api))
        written, tokens = make_encoder(wire_api, request), TokenCounter(None)

        emitter = EventEmitter(cast("Mailbox", ears), ID, "baseline")
        transcript = Transcript(history, ears, emitter)
        source, scene = StubModelSource(client), Scene(written)
        responses = ResponseReader(source, scene, transcript, cast("Mailbox", ears), show_raw_reasoning=True)
        summarizer = Summarizer(source, written, transcript, "Sum up.")
        compaction = Compaction(summarizer, transcript, tokens, StubTurnContext(), limit=10**6)
        injected = InjectedItems(transcript)
        loop = TurnLoop(responses, transcript, scene, scene, compaction, tokens, injected, StubGoal())
        try:
            last = await loop.run(TurnActivity())
        finally:
            await client.aclose()
        return last, ears, [recorded.json for recorded in server.requests]


@pytest.mark.parametrize("wire_api", PATHS)
def test_turn_with_tool_calls_comes_to_its_end(wire_api: WireApi) -> None:
    history = History([input_message([{"type": "text", "text": "look"}])])
    last, ears, bodies = asyncio.run(turn(wire_api, LOOK, history))
    assert last == "It said second"
    assert len(bodies) == 2
    assert [entry.type for entry in history] == [
        "message",
        "reasoning",
        "message",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
        "message",
    ]
    kinds = [event["type"] for event in ears.events]
    assert kinds.count("agent_message") == kinds.count("token_count") == 2
    deltas = "".join(str(event["delta"]) for event in ears.events if event["type"] == "agent_message_delta")
    assert deltas == "I will look.It said second"


def test_second_chat_request_carries_the_calls_with_their_outputs() -> None:
    history = History([input_message([{"type": "text", "text": "look"}])])
    _, ears, (_, second) = asyncio.run(turn("chat", LOOK, history))
    messages = cast("list[dict[str, Any]]", second["messages"])
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "tool"]
    assistant = messages[2]
    assert assistant["content"] == "I will look."
    assert [call["function"]["arguments"] for call in assistant["tool_calls"]] == ['{"n":1}', '{"n":2}']
    assert [message["tool_call_id"] for message in messages[3:]] == [call["id"] for call in assistant["tool_calls"]]
    assert {"type": "agent_reasoning_raw_content", "text": "Where am I?"} in ears.events


@pytest.mark.parametrize("wire_api", PATHS)
@pytest.mark.parametrize("trouble", [Disconnect(), Disconnect(orderly=True), FailedEvent("server_error", "no")])
def test_answer_that_breaks_off_in_the_middle_starts_over(wire_api: WireApi, trouble: ScriptedAction) -> None:
    played = make_script(rule("look", [First(1, Text("half")), First(1, trouble), Text("whole")]))
    history = History([input_message([{"type": "text", "text": "look"}])])
    last, ears, bodies = asyncio.run(turn(wire_api, played, history))
    assert last == "whole"
    assert len(bodies) == 2
    assert [event["type"] for event in ears.events].count("stream_error") == 1
    assert len(history) == 2


@pytest.mark.parametrize("cut", [b"", b"data: [DONE]\n\n"])
def test_chat_that_ends_without_usage_is_complete(cut: bytes) -> None:
    finish = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    played = make_script(rule("look", [Text("whole"), MalformedStep(finish + cut), Disconnect()]))
    history = History([input_message([{"type": "text", "text": "look"}])])
    last, ears, _ = asyncio.run(turn("chat", played, history))
    assert last == "whole"
    assert "token_count" not in [event["type"] for event in ears.events]
