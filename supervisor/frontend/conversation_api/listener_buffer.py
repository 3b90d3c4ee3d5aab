"""The events of one conversation for one client: each is sent once, however many listeners it has added.

Without a listener events are buffered, up to a limit, and questions wait.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from greenroom.protocol.events.turn import ErrorEvent, TaskComplete, TurnAborted
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.jsonrpc import encode
from greenroom.supervisor.frontend.client_channel import ClientChannel

log = logging.getLogger(__name__)

KEPT: Final = 1024 * 1024
"""Bytes of events that are buffered for one conversation without a listener; the latest are kept."""
_HEAD: Final = b'{"type":"'
"""The beginning of events as workers write them: the type comes first."""
_ENDS: Final = (b"task_complete", b"turn_aborted")


class _Typed(msgspec.Struct, frozen=True):
    type: str


class ListenerBuffer:
    """One client's subscription to one conversation (`greenroom.supervisor.conversations.state.turn.TurnObserver`)."""

    def __init__(self, conversation_id: ConversationId, channel: ClientChannel) -> None:
        self._id = encode(conversation_id)
        self._conversation_id = conversation_id
        self.client = channel
        self._write = channel.write
        self.subscriptions = 0
        self._lines: deque[bytes] = deque()
        self._lines_size = 0
        self._questions: deque[Callable[[], None]] = deque()
        self._on_end: dict[TurnId, list[Callable[[], None]]] = {}
        self._submissions = 0
        self._numbers: dict[TurnId, str] = {}
        self._running: TurnId | None = None
        self._started_at = 0
        self._over: TurnId | None = None

    @property
    def kept_bytes(self) -> int:
        """Bytes of events that wait for a listener."""
        return self._lines_size

    def count_submission(self) -> str:
        """Return the number of the next submission: events of a turn carry the number of its submission as their id."""
        number = str(self._submissions)
        self._submissions += 1
        return number

    def expect(self, turn_id: TurnId, number: str) -> None:
        """Assign a number to the events of a turn."""
        self._numbers[turn_id] = number

    def forget(self, turn_id: TurnId) -> None:
        """Expect no more events of a turn."""
        self._numbers.pop(turn_id, None)

    def subscribe(self) -> None:
        """Add a listener: it gets the buffered events and the waiting questions."""
        self.subscriptions += 1
        while self._lines:
            self._write(self._lines.popleft())
        self._lines_size = 0
        while self._questions:
            self._questions.popleft()()

    def unsubscribe(self) -> None:
        """Remove a listener."""
        self.subscriptions -= 1

    def ask(self, put: Callable[[], None]) -> None:
        """Put a question to the client as soon as there is a listener."""
        if self.subscriptions:
            put()
        else:
            self._questions.append(put)

    def on_end(self, turn_id: TurnId, tell: Callable[[], None]) -> None:
        """Call `tell` when a turn has ended and all of its events are sent."""
        self._on_end.setdefault(turn_id, []).append(tell)

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Handle events of a worker."""
        for event in events.split(b"\n"):
            kind = _kind(event)
            if kind == b"session_configured":  # the answer to `newConversation` has it already
                continue
            if kind == b"task_started":
                self._running, self._started_at = turn_id, round(time.time())
            elif kind in _ENDS:
                self._running, self._over = None, turn_id
            self._tell(self._numbers.get(turn_id, turn_id), kind, event)

    def fail(self, number: str, turn_id: TurnId | None, failure: Failure) -> None:
        """Report the end of a turn on behalf of its worker, unless that has done so. A refused turn has no id."""
        if turn_id is not None and turn_id == self._over:
            return
        began = turn_id is not None and turn_id == self._running
        now = round(time.time())
        started = self._started_at if began else now
        if began:
            self._running = None
        turn, duration = turn_id or number, (now - started) * 1000
        if failure.kind != "turn_aborted":
            self._tell(number, b"error", encode(ErrorEvent(failure.message, "other")))
            self._tell(number, b"task_complete", encode(TaskComplete(turn, None, started, now, duration)))
        elif began:
            self._tell(number, b"turn_aborted", encode(TurnAborted(turn, "interrupted", started, now, duration)))

    def turn_ended(self, turn_id: TurnId) -> None:
        """Handle the end of a turn."""
        for tell in self._on_end.pop(turn_id, ()):
            tell()

    def _tell(self, number: str, kind: bytes, event: bytes) -> None:
        line = b'{"jsonrpc":"2.0","method":"codex/event/%b","params":{"id":%b,"msg":%b,"conversationId":%b}}\n' % (
            kind,
            encode(number),
            event,
            self._id,
        )
        if self.subscriptions:
            self._write(line)
        else:
            self._keep(line)

    def _keep(self, line: bytes) -> None:
        self._lines.append(line)
        self._lines_size += len(line)
        while self._lines_size > KEPT:
            self._lines_size -= len(self._lines.popleft())
            about = {"conversation_id": self._conversation_id}
            text = "conversation %s: there is no listener; an old event is dropped"
            log.debug(text, self._conversation_id, extra=about)


def _kind(event: bytes) -> bytes:
    if event.startswith(_HEAD):
        return event[len(_HEAD) : event.index(b'"', len(_HEAD))]
    return msgspec.json.decode(event, type=_Typed).type.encode()
