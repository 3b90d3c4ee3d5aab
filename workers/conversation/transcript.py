"""What happens in a conversation, in the order in which it happens: in the history, the session file and the events."""

from collections.abc import Awaitable
from typing import Protocol

from greenroom.protocol.events.event import Event
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.sessions.records.format import SessionRecord
from greenroom.workers.conversation.events.event import warning
from greenroom.workers.conversation.events.event_emitter import EventEmitter
from greenroom.workers.conversation.history.history import History


class Recorder(Protocol):
    """Stores what the next turn, or the next process, must know."""

    def item(self, item: JsonObject) -> None:
        """Record an item of the history."""

    def event(self, event: Event) -> None:
        """Record an event, if it is of a stored type."""

    def add(self, *records: SessionRecord) -> None:
        """Record lines of any type."""

    def write(self) -> None:
        """Pass the records to the operating system, so that they survive the death of this process."""

    def write_soon(self) -> None:
        """Do as `write` does once the request that is about to be sent has been sent."""


class Transcript:
    """Belongs to one conversation. Deltas bypass it: they are emitted and never stored."""

    def __init__(self, history: History, recorder: Recorder, emitter: EventEmitter) -> None:
        self.history = history
        self.emitter = emitter
        self._recorder = recorder

    def begin_turn(self, turn_id: TurnId) -> None:
        """Assign the following events and inputs to a turn."""
        self.history.begin_turn()
        self.emitter.begin_turn(turn_id)

    def keep(self, item: JsonObject) -> None:
        """Append an item of which clients have been told."""
        if self.history.append(item):
            self._recorder.item(item)

    def add(self, item: JsonObject) -> None:
        """Append an item, and tell clients of it."""
        if self.history.append(item):
            self._recorder.item(item)
            self.emitter.raw_item(item)

    def add_input(self, item: JsonObject) -> None:
        """Append a message of the user in the running turn, and tell clients of it."""
        if self.history.append_input(item):
            self._recorder.item(item)
            self.emitter.raw_item(item)

    def emit_now(self, event: Event, *, keep: bool = False) -> None:
        """Emit an event, and record it where `keep` is true."""
        self.emitter.emit_now(event)
        if keep:
            self._recorder.event(event)

    def emit(self, event: Event) -> Awaitable[None] | None:
        """Record and emit an event of a tool; the result is to be awaited (`greenroom.workers.tools.types.Emit`)."""
        self._recorder.event(event)
        return self.emitter.emit(event)

    def warn(self, text: str) -> None:
        """Emit a warning for the user."""
        self.emitter.emit_now(warning(text))

    def record(self, *records: SessionRecord) -> None:
        """Record lines of any type."""
        self._recorder.add(*records)

    def write(self) -> None:
        """Pass the records to the operating system, so that they survive the death of this process."""
        self._recorder.write()

    def write_soon(self) -> None:
        """Do as `write` does once the request that is about to be sent has been sent."""
        self._recorder.write_soon()
