"""The audience of the one turn: tells it step by step, and refuses what would have to be asked."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from greenroom.protocol.approval import AnyQuestion, Decision
from greenroom.protocol.choices import EventForm
from greenroom.protocol.events.turn import SessionConfigured
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import TurnId
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.exec.turn_renderer import TurnRenderer
from greenroom.supervisor.frontend.thread_items.thread_tracker import ThreadTracker
from greenroom.supervisor.frontend.thread_items.update import Failed, Fault, TurnFinished, Update

NOBODY: Final = "nobody can be asked for approval: this is a run of `greenroom exec`"
_CONFIGURED: Final = b'{"type":"session_configured"'
_read_configured: Final = msgspec.json.Decoder(SessionConfigured).decode


class ExecTurn:
    """Implements `greenroom.supervisor.conversations.state.turn.Audience`."""

    wants_deltas: Final = False
    wants_steps: Final = False

    def __init__(
        self,
        client: ClientChannel,
        narrator: TurnRenderer,
        conversations: Conversations,
        on_end: Callable[[str | Failure], None],
    ) -> None:
        """`on_end` is called once, with the agent's last message or the reason why there is none."""
        self.client = client
        self._narrator = narrator
        self._conversations = conversations
        self._on_end = on_end
        self._tracker = ThreadTracker()
        self._turn: ConversationTurn | None = None
        self.is_open = False
        """Whether it has been told that the conversation is open; then a failure has been told too."""
        self._is_over = False
        """Whether the end of the turn has been told."""

    def attach(self, turn: ConversationTurn) -> None:
        """Set the turn of this audience."""
        self._turn = turn

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Tell what has happened."""
        if not turn_id and not self.is_open:
            self._find_opening(events)
        for one in self._tracker.receive(events):
            self._tell(one)

    def progress(self, doing: str) -> None:
        """Ignore a sign of life."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """Refuse, and say so."""
        del form
        if self._turn is None:
            return
        self._write(self._narrator.warn(f"{question.subject()} was refused: {NOBODY}"))
        if (call_id := getattr(question, "call_id", None)) is not None:
            for one in self._tracker.decline(call_id):
                self._tell(one)
        decision = Decision(verdict="denied", reason=NOBODY, action=None if question.can_be_approved else "cancel")
        self._conversations.questions.decide(self._turn, question_id, decision)

    def succeeded(self, last_message: bytes) -> None:
        """Handle the end of the turn."""
        self._end(msgspec.json.decode(last_message, type=str | None) or "")

    def failed(self, failure: Failure) -> None:
        """Tell why the turn has failed, unless a step has told it."""
        is_aborted = failure.kind == "turn_aborted"
        ending = self._tracker.interrupt() if is_aborted else self._tracker.fail(Fault(failure.message))
        for one in ending:
            if is_aborted or not isinstance(one, Failed | TurnFinished):
                self._tell(one)
        if self.is_open and not self._is_over:
            self._write(self._narrator.fail(failure))
        self._end(failure)

    def _find_opening(self, events: bytes) -> None:
        for line in events.split(b"\n"):
            if line.startswith(_CONFIGURED):
                self.is_open = True
                self._write(self._narrator.opened(_read_configured(line)))

    def _tell(self, one: Update) -> None:
        self._is_over = self._is_over or isinstance(one, TurnFinished)
        self._write(self._narrator.tell(one))

    def _write(self, pieces: Iterator[bytes]) -> None:
        self.client.write(b"".join(pieces))

    def _end(self, outcome: str | Failure) -> None:
        self._turn = None  # breaks a reference cycle: the turn refers to its audience
        self._on_end(outcome)
