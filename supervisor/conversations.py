"""The table of conversations: gives each its worker, its turns in order, and each turn its one end."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from protocol.birth import Exited
from protocol.ids import BEFORE_TURNS, ConversationId, Incarnation, TurnId, WorkerId, uuid7
from protocol.mailbox import (
    Addressed,
    Close,
    Events,
    Interrupt,
    Notice,
    Open,
    Opened,
    OpenFailed,
    Ready,
    ReceivedNotice,
    StartTurn,
    TurnEnded,
)
from protocol.mcp import Failure
from supervisor import death
from supervisor.conversation import Conversation
from supervisor.mailroom import Mailroom
from supervisor.turn import Audience, Turn, aborted

log = logging.getLogger(__name__)

INTERRUPT_GRACE = 1.0
"""Seconds in which an interrupted turn has to end before its worker is killed."""


@dataclass(frozen=True, slots=True)
class ConversationsStatistics:
    """How the table stands."""

    known: int
    with_process: int
    turns_running: int
    turns_waiting: int


class _Address(TypedDict):
    conversation_id: ConversationId
    incarnation: Incarnation


class Conversations:
    """All conversations of this run. Runs on the supervisor's loop."""

    def __init__(
        self,
        mailroom: Mailroom,
        take_worker: Callable[[Callable[[WorkerId], None]], None],
        kill_worker: Callable[[WorkerId], None],
        cli_overrides: tuple[str, ...],
        user_agent: Callable[[], str],
    ) -> None:
        self._mailroom = mailroom
        self._take_worker = take_worker
        self._kill_worker = kill_worker
        self._cli_overrides = cli_overrides
        self._user_agent = user_agent
        self._table: dict[ConversationId, Conversation] = {}
        self._hosted: dict[WorkerId, Conversation] = {}
        self.leaving: frozenset[WorkerId] = frozenset()

    def open(self, overrides: bytes) -> Conversation:
        """Enter a new conversation. `overrides` is a JSON object (`config.settings.ConversationOverrides`)."""
        conversation = Conversation(ConversationId(uuid7()), overrides, resume=False)
        self._table[conversation.id] = conversation
        return conversation

    def find_or_resume(self, conversation_id: ConversationId) -> Conversation:
        """Return a conversation of this run, else enter one that goes on from its session file if there is one."""
        known = self._table.get(conversation_id)
        if known is None:
            known = self._table[conversation_id] = Conversation(conversation_id, b"{}", resume=True)
        return known

    def submit(self, conversation: Conversation, items: bytes, audience: Audience) -> Turn:
        """Queue a turn; it runs after those that were submitted before it."""
        turn = Turn(TurnId(uuid7()), conversation.id, items, audience)
        conversation.queue.append(turn)
        self._advance(conversation)
        return turn

    def interrupt(self, turn: Turn, reason: str = "interrupted") -> None:
        """End a turn: at once if it waits, through its worker if it runs. Ended turns are left alone."""
        conversation = self._table.get(turn.conversation_id)
        if conversation is None or turn.interrupted:
            return
        turn.interrupted = True
        if turn in conversation.queue:
            conversation.queue.remove(turn)
            turn.audience.failed(aborted(reason))
        elif turn is conversation.running and conversation.worker_id is not None:
            self._send(conversation, Interrupt(**self._address(conversation), turn_id=turn.id))
            loop = asyncio.get_running_loop()
            loop.call_later(INTERRUPT_GRACE, self._insist, conversation, conversation.incarnation, turn)

    def abort_all(self, reason: str) -> None:
        """Answer every turn, and ask every worker to save and leave; `leaving` then says which."""
        self.leaving = frozenset(self._hosted)
        for conversation in list(self._table.values()):
            for turn in conversation.take_all_turns():
                turn.audience.failed(aborted(reason))
            if conversation.worker_id is not None:
                self._mailroom.send(conversation.worker_id, Close())
            self._retire(conversation)

    def receive(self, worker_id: WorkerId, received: ReceivedNotice) -> None:
        """Take a notice of a worker; one that does not come from the present incarnation is dropped."""
        notice, payload = received
        conversation = self._hosted.get(worker_id)
        if conversation is None or not _is_current(conversation, notice):
            log.debug("worker %s: %s from the past; dropped", worker_id, notice.wire.decode())
            return
        match notice:
            case Events():
                self._pass_on(conversation, notice, payload)
            case TurnEnded():
                self._end_turn(conversation, notice, payload)
            case Opened():
                conversation.resume = True
                conversation.happen("opened")
                if conversation.running is not None:
                    conversation.happen("turn_started")
            case OpenFailed():
                self._refuse(conversation, notice)
            case Ready():
                pass

    def lost(self, exited: Exited) -> None:
        """Take notice that a process ended; if it hosted a conversation, its running turn ends with it."""
        conversation = self._hosted.pop(exited.id, None)
        if conversation is None:
            return
        was_starting = conversation.state == "starting" and not conversation.resume
        conversation.happen("died")
        conversation.worker_id = None
        turn, conversation.running = conversation.running, None
        if turn is not None:
            turn.audience.failed(_start_failure(exited) if was_starting else _crash_failure(exited, turn))
        if conversation.queue:
            self._advance(conversation)

    def statistics(self) -> ConversationsStatistics:
        """Return how the table stands."""
        table = self._table.values()
        return ConversationsStatistics(
            known=len(table),
            with_process=len(self._hosted),
            turns_running=sum(conversation.running is not None for conversation in table),
            turns_waiting=sum(len(conversation.queue) for conversation in table),
        )

    def _advance(self, conversation: Conversation) -> None:
        """Run the next turn if nothing runs; find a process for the conversation first where it has none."""
        if conversation.running is not None or not conversation.queue:
            return
        if conversation.state in ("new", "crashed"):
            conversation.happen("placed")
            conversation.incarnation = Incarnation(conversation.incarnation + 1)
            self._take_worker(lambda worker_id: self._host(conversation, worker_id))
        elif conversation.worker_id is not None:
            self._start_turn(conversation)

    def _host(self, conversation: Conversation, worker_id: WorkerId) -> None:
        if conversation.state != "starting":  # closed while it waited for a worker
            self._kill_worker(worker_id)
            return
        conversation.worker_id = worker_id
        self._hosted[worker_id] = conversation
        operation = Open(
            **self._address(conversation),
            cli_overrides=self._cli_overrides,
            resume=conversation.resume,
            user_agent=self._user_agent(),
        )
        self._send(conversation, operation, conversation.overrides)
        self._start_turn(conversation)  # without waiting for `Opened`: the worker takes both in order

    def _start_turn(self, conversation: Conversation) -> None:
        if not conversation.queue:
            return
        turn = conversation.running = conversation.queue.popleft()
        if conversation.state == "idle":
            conversation.happen("turn_started")
        self._send(conversation, StartTurn(**self._address(conversation), turn_id=turn.id), turn.items)

    def _pass_on(self, conversation: Conversation, notice: Events, payload: bytes) -> None:
        turn = conversation.running
        if turn is not None and notice.turn_id in (turn.id, BEFORE_TURNS):
            turn.audience.events(notice.turn_id, payload)

    def _end_turn(self, conversation: Conversation, notice: TurnEnded, payload: bytes) -> None:
        turn = conversation.running
        if turn is None or notice.turn_id != turn.id:
            return
        conversation.running = None
        conversation.happen("turn_ended")
        if notice.outcome == "completed":
            turn.audience.succeeded(payload)
        elif notice.outcome == "aborted":
            turn.audience.failed(aborted(notice.message or "interrupted"))
        else:
            turn.audience.failed(Failure(notice.error_kind or "internal", notice.message or "the turn failed"))
        self._advance(conversation)

    def _refuse(self, conversation: Conversation, notice: OpenFailed) -> None:
        turns = conversation.take_all_turns()
        self._retire(conversation)
        del self._table[conversation.id]
        for turn in turns:
            turn.audience.failed(Failure(notice.error_kind, notice.message))

    def _retire(self, conversation: Conversation) -> None:
        if conversation.worker_id is not None:
            self._hosted.pop(conversation.worker_id, None)
            conversation.worker_id = None
        if conversation.state != "closed":
            conversation.happen("closed")

    def _insist(self, conversation: Conversation, incarnation: Incarnation, turn: Turn) -> None:
        """Kill the worker of a turn that should have ended, unless its end may only be waiting to be read."""
        if (
            conversation.running is not turn
            or conversation.incarnation != incarnation
            or conversation.worker_id is None
        ):
            return
        if self._mailroom.statistics().paused:
            loop = asyncio.get_running_loop()
            loop.call_later(INTERRUPT_GRACE, self._insist, conversation, incarnation, turn)
            return
        log.warning("conversation %s: the turn did not end when asked to; killing its worker", conversation.id)
        self._kill_worker(conversation.worker_id)

    def _send(self, conversation: Conversation, operation: Open | StartTurn | Interrupt, payload: bytes = b"") -> None:
        worker_id = conversation.worker_id
        if worker_id is not None and not self._mailroom.send(worker_id, operation, payload):
            log.error("conversation %s: its worker cannot be reached; killing it", conversation.id)
            self._kill_worker(worker_id)

    def _address(self, conversation: Conversation) -> _Address:
        return {"conversation_id": conversation.id, "incarnation": conversation.incarnation}


def _is_current(conversation: Conversation, notice: Notice) -> bool:
    return (
        isinstance(notice, Addressed)
        and notice.conversation_id == conversation.id
        and notice.incarnation == conversation.incarnation
    )


def _crash_failure(exited: Exited, turn: Turn) -> Failure:
    if turn.interrupted:
        return aborted("interrupted")
    message = (
        f"Codex runtime error: the process of conversation {turn.conversation_id} died ({death.cause(exited)}). What "
        "it was doing may or may not have taken effect; codex-reply with this id goes on from where it was saved."
    )
    return Failure("worker_crashed", message, {**death.facts(exited), "resumable": True})


def _start_failure(exited: Exited) -> Failure:
    message = f"Failed to start Codex session: its process died ({death.cause(exited)})"
    return Failure("start_failed", message, death.facts(exited))
