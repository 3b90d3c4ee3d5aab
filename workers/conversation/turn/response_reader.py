"""Makes one request to the model and reads its response; clients are told of each event as it arrives."""

import time
from contextlib import aclosing
from typing import Final, Protocol

import msgspec

from greenroom.protocol.events.text import AgentReasoning, AgentReasoningRawContent
from greenroom.protocol.events.tool import WebSearchBegin
from greenroom.protocol.items import JsonObject, as_list
from greenroom.workers.conversation.events import event
from greenroom.workers.conversation.model_connection import ModelSource
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.conversation.turn.open_calls import is_call
from greenroom.workers.conversation.turn_activity import TurnActivity
from greenroom.workers.event_sink import EventSink
from greenroom.workers.model.codec import Encoder
from greenroom.workers.model.outcome.retry import Retry
from greenroom.workers.model.responses import (
    Completed,
    ItemDone,
    ModelEvent,
    ReasoningDelta,
    ReasoningSummaryDelta,
    ResponseUsage,
    SearchBegun,
    SectionBreak,
    TextDelta,
)

PREPARING: Final = "preparing the request"


class RequestEncoders(Protocol):
    """The source of encoders (`greenroom.workers.conversation.prompt.request_builder.RequestBuilder`)."""

    async def encoder(self) -> Encoder:
        """Return the encoder of the next request, with the tools that are available by then. Raises `StartError`."""
        ...


class ModelResponse(msgspec.Struct):
    """One response of the model."""

    items: list[JsonObject] = msgspec.field(default_factory=list)
    searches: set[str] = msgspec.field(default_factory=set)
    """Ids of the web searches of which clients have been told."""
    completed: Completed | None = None

    @property
    def usage(self) -> ResponseUsage | None:
        """The token counts of the response, if the server reported any."""
        return None if self.completed is None else self.completed.usage

    @property
    def calls(self) -> list[JsonObject]:
        """The tool calls, in order."""
        return [item for item in self.items if is_call(item)]

    @property
    def ends_turn(self) -> bool:
        """Whether the model expects neither outputs nor another request."""
        return not self.calls and (self.completed is None or self.completed.end_turn)


class ResponseReader:
    """Belongs to one conversation."""

    def __init__(
        self,
        model: ModelSource,
        requests: RequestEncoders,
        transcript: Transcript,
        mailbox: EventSink,
        *,
        show_raw_reasoning: bool,
    ) -> None:
        self._model = model
        self._requests = requests
        self._transcript = transcript
        self._mailbox = mailbox
        self._activity = TurnActivity()
        self._show_raw_reasoning = show_raw_reasoning

    def begin_turn(self, activity: TurnActivity) -> None:
        """Start another turn, whose activity is reported to `activity`."""
        self._activity = activity
        self._model.begin_turn()

    async def ask(self) -> ModelResponse:
        """Make one request with the present history. Raises `ModelError` or `StartError`.

        The response is returned once it is complete, so no tool has run of a response whose stream breaks.
        """
        response, activity = ModelResponse(), self._activity
        emitter = self._transcript.emitter

        def start_over(retry: Retry) -> None:
            response.items.clear()
            emitter.forget_pieces()
            activity.doing = "waiting to ask the model again"
            self._transcript.emit_now(event.stream_error(retry.text))

        activity.doing = PREPARING
        client = await self._model.client()
        encoder = await self._requests.encoder()
        body = encoder.body(self._transcript.history.encoded_input(with_members=encoder.takes_members))
        activity.doing = "waiting for the model"
        async with aclosing(client.stream(body, start_over)) as batches:
            async for events in batches:
                activity.doing = "reading the model's answer"
                self._take(events, response)
                if self._mailbox.pressed:
                    await self._mailbox.drain()
        return response

    def _take(self, events: list[ModelEvent], response: ModelResponse) -> None:
        emitter = self._transcript.emitter
        if self._activity.heard_at is None:
            self._activity.heard_at = time.time()
        for model_event in events:
            match model_event:
                case TextDelta(raw):
                    emitter.text_delta(raw)
                case ReasoningSummaryDelta(raw):
                    emitter.reasoning_delta(raw)
                case ReasoningDelta(raw):
                    if self._show_raw_reasoning:
                        emitter.raw_reasoning_delta(raw)
                case SectionBreak():
                    emitter.section_break()
                case SearchBegun(call_id):
                    self._begin_search(call_id, response)
                case ItemDone(item):
                    response.items.append(item)
                    self._emit_item(item, response)
                    emitter.raw_item(item)
                case Completed():
                    response.completed = model_event
                    emitter.response_completed(model_event)

    def _emit_item(self, item: JsonObject, response: ModelResponse) -> None:
        """Tell clients of a complete item."""
        transcript = self._transcript
        match item.get("type"):
            case "message":
                texts, phase = _texts(item.get("content"), "output_text"), item.get("phase")
                transcript.emitter.complete_message(texts, phase)
                for text in texts:
                    transcript.emit_now(event.agent_message(text, phase), keep=True)
            case "reasoning" if any(item.get(name) for name in ("summary", "content", "encrypted_content")):
                summary = _texts(item.get("summary"), "summary_text")
                raw = _texts(item.get("content"), "reasoning_text", "text") if self._show_raw_reasoning else []
                transcript.emitter.complete_reasoning(summary, raw)
                for text in summary:
                    transcript.emit_now(AgentReasoning(text), keep=True)
                for text in raw:
                    transcript.emit_now(AgentReasoningRawContent(text), keep=True)
            case "web_search_call":
                self._begin_search(str(item.get("id") or ""), response)
                transcript.emit_now(event.web_search_end(item), keep=True)

    def _begin_search(self, call_id: str, response: ModelResponse) -> None:
        """Tell clients of the start of a web search once: some servers report it, others only the complete item."""
        if call_id not in response.searches:
            response.searches.add(call_id)
            self._activity.doing = "searching the web"
            self._transcript.emit_now(WebSearchBegin(call_id=call_id, query=""))


def _texts(parts: object, *types: str) -> list[str]:
    found = [part for part in as_list(parts) if isinstance(part, dict) and part.get("type") in types]
    return [part["text"] for part in found if isinstance(part.get("text"), str)]
