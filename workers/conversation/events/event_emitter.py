"""Tells clients what happens in a conversation, so that those of every release find what they know.

Where a flat event of August 2025 is about an item of later releases, what these say of it comes first. A piece of text
goes out under both its names, put together from bytes: it is the hot path.
"""

from collections.abc import Awaitable, Callable

from greenroom.protocol.choices import DELTA_EVENTS, EventForm
from greenroom.protocol.events.event import Event, type_of
from greenroom.protocol.events.item import ItemCompleted, ItemStarted, RawResponseCompleted, RawResponseItem
from greenroom.protocol.ids import BEFORE_TURNS, ConversationId, TurnId, uuid7
from greenroom.protocol.items import JsonObject
from greenroom.workers.clock import now_ms
from greenroom.workers.conversation.events import event, thread_items
from greenroom.workers.conversation.events.event_form import baseline_event
from greenroom.workers.conversation.usage.tokens import token_usage
from greenroom.workers.event_sink import EventSink
from greenroom.workers.model.responses import Completed


class EventEmitter:
    """One conversation's events on their way to the mailbox."""

    def __init__(
        self,
        mailbox: EventSink,
        conversation_id: ConversationId,
        form: EventForm,
        observe: Callable[[Event], None] | None = None,
    ) -> None:
        """`observe` takes every event, and every completed item, but the pieces of texts, as their maker has them."""
        self._mailbox = mailbox
        self._observe = observe
        self._conversation_id = conversation_id
        self._turn_id = BEFORE_TURNS
        self._is_baseline = form == "baseline"
        self._begun: dict[str, int] = {}
        """When items began that have not ended, in milliseconds since the epoch."""
        self._message = self._reasoning = ""
        """Ids of the items whose text is coming in; empty where none is."""
        self._heads: dict[str, bytes] = {}
        """How the later events begin that carry pieces of them, by type."""
        self._section = 0
        self.wants_deltas = True
        """Whether `greenroom.protocol.choices.DELTA_EVENTS` are sent; nothing is made of them otherwise."""

    def begin_turn(self, turn_id: TurnId) -> None:
        """Let what follows belong to a turn."""
        self._turn_id = turn_id

    def emit_now(self, emitted: Event) -> None:
        """Emit an event, after those of its item."""
        phase = thread_items.PHASES.get(type(emitted))
        if phase is not None:
            item = thread_items.item_of(emitted)
            if phase != "completed":
                self._start(item)
            if phase != "started":
                self.complete(item)
        self._send(emitted)
        if self._observe is not None:
            self._observe(emitted)

    def emit(self, emitted: Event) -> Awaitable[None] | None:
        """Emit an event. A caller that emits many awaits the result, which holds it up while clients do not read."""
        self.emit_now(emitted)
        return self._mailbox.drain() if self._mailbox.pressed else None

    # Items

    def complete(self, item: JsonObject) -> None:
        """Tell that an item is complete, and first that it began, where that was not emitted."""
        item_id = str(item["id"])
        if item_id not in self._begun:
            self._start(item)
        completed = ItemCompleted(
            thread_id=self._conversation_id,
            turn_id=self._turn_id,
            item=item,
            started_at_ms=self._begun.pop(item_id),
            completed_at_ms=now_ms(),
        )
        self._send(completed)
        if self._observe is not None:
            self._observe(completed)

    def complete_message(self, texts: list[str], phase: object) -> None:
        """Tell that a text of the agent is complete."""
        self.complete(thread_items.agent_message_item(self._message or _fresh("msg"), texts, phase))
        self._message = ""

    def complete_reasoning(self, summary: list[str], raw: list[str]) -> None:
        """Tell that a piece of the model's reasoning is complete."""
        self.complete(thread_items.reasoning_item(self._reasoning or _fresh("rs"), summary, raw))
        self._reasoning, self._section = "", 0

    def raw_item(self, item: JsonObject) -> None:
        """Tell of an item of the history as the model sees it."""
        self._send(RawResponseItem(item=item))

    def response_completed(self, completed: Completed) -> None:
        """Tell that a response of the model is complete."""
        usage = None if completed.usage is None else token_usage(completed.usage)
        self._send(RawResponseCompleted(response_id=completed.response_id, token_usage=usage, usage_metadata=None))

    # Pieces of text, as JSON strings

    def text_delta(self, raw: bytes) -> None:
        """Tell a piece of the agent's text."""
        if not self._message:
            self._message = _fresh("msg")
            self._begin_stream(thread_items.agent_message_item(self._message, [""]), "agent_message_content_delta")
        if self.wants_deltas:
            self._mailbox.emit(b'{"type":"agent_message_delta","delta":%b}' % raw)
            self._emit_piece("agent_message_content_delta", raw, b"}")

    def reasoning_delta(self, raw: bytes) -> None:
        """Tell a piece of the summary of the model's reasoning."""
        self._begin_reasoning()
        if self.wants_deltas:
            self._mailbox.emit(b'{"type":"agent_reasoning_delta","delta":%b}' % raw)
            self._emit_piece("reasoning_content_delta", raw, b',"summary_index":%d}' % max(self._section - 1, 0))

    def raw_reasoning_delta(self, raw: bytes) -> None:
        """Tell a piece of the model's reasoning itself."""
        self._begin_reasoning()
        if self.wants_deltas:
            self._mailbox.emit(b'{"type":"agent_reasoning_raw_content_delta","delta":%b}' % raw)
            self._emit_piece("reasoning_raw_content_delta", raw, b',"content_index":0}')

    def section_break(self) -> None:
        """Tell that another section of the summary begins."""
        self._section += 1
        self._mailbox.emit(event.SECTION_BREAK)

    def forget_pieces(self) -> None:
        """What came of the present response is void: the model is asked again."""
        self._message = self._reasoning = ""
        self._section = 0

    def _begin_reasoning(self) -> None:
        if not self._reasoning:
            self._reasoning = _fresh("rs")
            item = thread_items.reasoning_item(self._reasoning, [], [])
            self._begin_stream(item, "reasoning_content_delta", "reasoning_raw_content_delta")

    def _begin_stream(self, item: JsonObject, *kinds: str) -> None:
        if self._is_baseline:
            return
        self._start(item)
        for kind in kinds:
            head = event.encode({"type": kind, **self._place, "item_id": item["id"]})
            self._heads[kind] = head[:-1] + b',"delta":'

    def _emit_piece(self, kind: str, raw: bytes, end: bytes) -> None:
        if not self._is_baseline:
            self._mailbox.emit(b"%b%b%b" % (self._heads[kind], raw, end))

    @property
    def _place(self) -> JsonObject:
        return {"thread_id": self._conversation_id, "turn_id": self._turn_id}

    def _start(self, item: JsonObject) -> None:
        started = self._begun[str(item["id"])] = now_ms()
        self._send(
            ItemStarted(thread_id=self._conversation_id, turn_id=self._turn_id, item=item, started_at_ms=started)
        )

    def _send(self, emitted: Event) -> None:
        if not self.wants_deltas and type_of(emitted) in DELTA_EVENTS:
            return
        formed = baseline_event(emitted) if self._is_baseline else emitted
        if formed is not None:
            self._mailbox.emit(event.encode(formed))


def _fresh(kind: str) -> str:
    return f"{kind}_{uuid7()}"
