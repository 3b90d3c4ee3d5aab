"""The turn loop: asks the model, runs the tools it calls, and asks again, until it has nothing more to do."""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from greenroom.protocol.errors import ErrorKind, ModelError
from greenroom.protocol.items import JsonObject, as_list
from greenroom.workers.conversation import event
from greenroom.workers.conversation.compaction import Compaction
from greenroom.workers.conversation.event_emitter import EventEmitter
from greenroom.workers.conversation.history import History
from greenroom.workers.conversation.tokens import TokenCounter
from greenroom.workers.event_sink import Outlet
from greenroom.workers.model.client import Model
from greenroom.workers.model.codec import Encoder
from greenroom.workers.model.outcome import MalformedRequestError, SealedHistoryError
from greenroom.workers.model.responses import (
    Completed,
    ItemDone,
    ModelEvent,
    ReasoningDelta,
    ReasoningSummaryDelta,
    SearchBegun,
    SectionBreak,
    TextDelta,
    Usage,
)
from greenroom.workers.model.retry import Retry

MAKING_ROOM: Final = "making room in the model's context"
"""What is done while a summary is made, in words."""

OutcomeKind: TypeAlias = Literal["completed", "failed", "aborted"]


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """How a turn ended."""

    kind: OutcomeKind
    last_message: bytes = b'""'
    """The agent's last message as a JSON string."""
    error_kind: ErrorKind | None = None
    message: str | None = None
    """What went wrong, or why it was stopped."""
    facts: Mapping[str, int] = field(default_factory=dict)
    """Numbers that belong to what went wrong."""


class TurnRecorder(Protocol):
    """Where a turn leaves what the next one, or the next process, must know."""

    def item(self, item: JsonObject) -> None:
        """Record an item of the history."""

    def event(self, event: JsonObject) -> None:
        """Record an event."""

    def write(self) -> None:
        """Hand over to the operating system what was recorded, so that it survives the death of this process."""


ToolResult: TypeAlias = str | list[JsonObject]
"""The `output` of a call: text, or text and images."""
CallTool: TypeAlias = Callable[[JsonObject], Awaitable[ToolResult]]
"""Runs one tool call and returns what the model is told."""

OUTPUTS: Final[Mapping[str, str]] = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
"""Items that call a tool of ours, and the type of what answers them."""


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call of the model that waits for its output."""

    call_id: str
    output_type: str


@dataclass(slots=True)
class _Response:
    """What one response of the model has brought so far."""

    items: list[JsonObject] = field(default_factory=list)
    searches: set[str] = field(default_factory=set)
    """Ids of the searches of the web that clients were told of."""
    completed: Completed | None = None

    @property
    def usage(self) -> Usage | None:
        """What the response cost, if the server told it."""
        return None if self.completed is None else self.completed.usage

    @property
    def calls(self) -> list[JsonObject]:
        """The tool calls, in order."""
        return [item for item in self.items if item["type"] in OUTPUTS]


class TurnLoop:
    """One turn, from the user's message in the history to the last answer of the model."""

    def __init__(
        self,
        model: Model,
        encoder: Callable[[], Awaitable[Encoder]],
        history: History,
        record: TurnRecorder,
        mailbox: Outlet,
        announcer: EventEmitter,
        call_tool: CallTool,
        tokens: TokenCounter,
        compaction: Compaction,
        show_raw_reasoning: bool,
        take_input: Callable[[], Awaitable[bool]],
        tell_diff: Callable[[], Awaitable[None]],
    ) -> None:
        """`encoder` returns what writes the next request, with the tools that there are by then.

        `take_input` puts into the history what the user has said meanwhile, and returns whether that was anything.
        `tell_diff` tells clients what the patches of the turn have come to, if there were any.
        """
        self._model = model
        self._encoder = encoder
        self._history = history
        self._record = record
        self._mailbox = mailbox
        self._announcer = announcer
        self._call_tool = call_tool
        self._tokens = tokens
        self._compaction = compaction
        self._show_raw_reasoning = show_raw_reasoning
        self._take_input = take_input
        self._tell_diff = tell_diff
        self._open_calls: list[OpenCall] = []
        """Calls that wait for their output, in their order."""
        self._uncounted: Usage | None = None
        """What the present response cost, as long as nobody has been told."""
        self.doing = "preparing the request"
        """In words, for whoever looks in."""
        self.runs_tool = False
        """Whether a call of the model is being carried out."""
        self.heard_at: float | None = None
        """When the model first said something, in seconds since the epoch."""

    async def run(self) -> str | None:
        """Run to the end and return the agent's last message. Raises `ModelError`; cancelling it stops the turn."""
        self._compaction.begin_turn()
        while True:
            response = await self._ask_with_room()
            start = len(self._history)
            for item in response.items:
                self._keep(item)
            self._compaction.note(response.usage)
            self._uncounted = response.usage
            await self._answer_calls(response.calls)
            self._count()
            await self._tell_diff()
            if await self._take_input():
                continue
            if not response.calls and (response.completed is None or response.completed.end_turn):
                return self._history.last_agent_message(since=start)

    async def _ask_with_room(self) -> _Response:
        """Make one request, and shorten the history first where it has become too long, or seems to have been."""
        while True:
            self.doing = MAKING_ROOM
            await self._compaction.when_due()
            try:
                return await self._ask()
            except ModelError as error:
                healed = self._has_unsealed(error) or self._has_adapted(error)
                if not (healed or await self._compaction.rescue(error)):
                    raise

    def _has_unsealed(self, error: ModelError) -> bool:
        """Leave out reasoning that another account's requests brought, once the server says that it cannot read it.

        Whose it is nobody else knows: the conversation may come from a session file, or from another server.
        """
        return isinstance(error, SealedHistoryError) and self._history.drop_encrypted_reasoning()

    def _has_adapted(self, error: ModelError) -> bool:
        """Leave out what another server said of its answers once this one refuses it by name, or add what it misses."""
        return isinstance(error, MalformedRequestError) and self._history.adapt_members(str(error))

    async def _ask(self) -> _Response:
        """Make one request. Tools run only once the response is complete, so a stream that breaks has run none."""
        response = _Response()

        def start_over(retry: Retry) -> None:
            response.items.clear()
            self._announcer.forget_pieces()
            self.doing = "waiting to ask the model again"
            self._tell(event.stream_error(retry.text))

        self.doing = "preparing the request"
        encoder = await self._encoder()
        body = encoder.body(self._history.encoded_input(with_members=encoder.takes_members))
        self.doing = "waiting for the model"
        async with aclosing(self._model.stream(body, start_over)) as batches:
            async for events in batches:
                self.doing = "reading the model's answer"
                self._take(events, response)
                if self._mailbox.pressed:
                    await self._mailbox.drain()
        return response

    def _take(self, events: list[ModelEvent], response: _Response) -> None:
        announcer = self._announcer
        if self.heard_at is None:
            self.heard_at = time.time()
        for model_event in events:
            match model_event:
                case TextDelta(raw):
                    announcer.text_delta(raw)
                case ReasoningSummaryDelta(raw):
                    announcer.reasoning_delta(raw)
                case ReasoningDelta(raw):
                    if self._show_raw_reasoning:
                        announcer.raw_reasoning_delta(raw)
                case SectionBreak():
                    announcer.section_break()
                case SearchBegun(call_id):
                    self._begin_search(call_id, response)
                case ItemDone(item):
                    response.items.append(item)
                    self._show(item, response)
                    announcer.raw_item(item)
                case Completed():
                    response.completed = model_event
                    announcer.response_completed(model_event)

    def _show(self, item: JsonObject, response: _Response) -> None:
        """Tell clients of an item that is complete."""
        match item.get("type"):
            case "message":
                texts, phase = _texts(item.get("content"), "output_text"), item.get("phase")
                self._announcer.complete_message(texts, phase)
                for text in texts:
                    self._tell(event.agent_message(text, phase), keep=True)
            case "reasoning" if any(item.get(name) for name in ("summary", "content", "encrypted_content")):
                summary = _texts(item.get("summary"), "summary_text")
                raw = _texts(item.get("content"), "reasoning_text", "text") if self._show_raw_reasoning else []
                self._announcer.complete_reasoning(summary, raw)
                for text in summary:
                    self._tell({"type": "agent_reasoning", "text": text}, keep=True)
                for text in raw:
                    self._tell({"type": "agent_reasoning_raw_content", "text": text}, keep=True)
            case "web_search_call":
                self._begin_search(str(item.get("id") or ""), response)
                self._tell(event.web_search_end(item), keep=True)

    def _begin_search(self, call_id: str, response: _Response) -> None:
        """Tell of a search once. Not every server says when it begins."""
        if call_id not in response.searches:
            response.searches.add(call_id)
            self.doing = "searching the web"
            self._tell({"type": "web_search_begin", "call_id": call_id, "query": ""})

    async def _answer_calls(self, calls: list[JsonObject]) -> None:
        """Run the calls of a response in their order, each to its end before the next."""
        if not calls:
            return
        self._open_calls = [OpenCall(str(call["call_id"]), OUTPUTS[str(call["type"])]) for call in calls]
        for call in calls:
            self._record.write()
            self.doing = f"running the tool {call['name']}"
            self.runs_tool = True
            try:
                self._answer_call(await self._call_tool(call))
            finally:
                self.runs_tool = False

    def close(self, output: str) -> None:
        """Give this output to the calls that the turn did not live to answer, and count the response that made them."""
        while self._open_calls:
            self._answer_call(output)
        self._count()

    def _answer_call(self, output: ToolResult) -> None:
        """Record the output of the first of the open calls."""
        call = self._open_calls.pop(0)
        item: JsonObject = {"type": call.output_type, "call_id": call.call_id, "output": output}
        self._keep(item)
        self._announcer.raw_item(item)

    def _keep(self, item: JsonObject) -> None:
        if self._history.append(item):
            self._record.item(item)

    def _count(self) -> None:
        usage, self._uncounted = self._uncounted, None
        if usage is not None:
            self._tell(self._tokens.add(usage), keep=True)

    def _tell(self, told: JsonObject, keep: bool = False) -> None:
        self._announcer.tell(told)
        if keep:
            self._record.event(told)


def _texts(parts: object, *types: str) -> list[str]:
    found = [part for part in as_list(parts) if isinstance(part, dict) and part.get("type") in types]
    return [part["text"] for part in found if isinstance(part.get("text"), str)]
