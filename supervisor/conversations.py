"""The table of conversations: gives each its worker, its turns in order, and each turn its one end."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypedDict, assert_never

from protocol.birth import Exited
from protocol.elicitation import Decision
from protocol.ids import BEFORE_TURNS, ConversationId, Incarnation, TurnId, WorkerId, uuid7
from protocol.jsonrpc import encode
from protocol.mailbox import (
    Addressed,
    Ask,
    Close,
    CommandsEnded,
    Compact,
    Decide,
    ErrandDone,
    Events,
    Heartbeat,
    Interrupt,
    Measured,
    Notice,
    Open,
    Opened,
    OpenFailed,
    Operation,
    Ready,
    ReceivedNotice,
    StartTurn,
    Steer,
    Steered,
    TurnEnded,
    TurnSettings,
)
from protocol.mcp import Failure
from supervisor import death, lifecycle, watch
from supervisor.conversation import Conversation, Placement, Pulse
from supervisor.death import Obituaries
from supervisor.limits import Limits
from supervisor.mailroom import Mailroom
from supervisor.pool import Order
from supervisor.roster import Roster
from supervisor.turn import Audience, Observer, Turn, aborted

log = logging.getLogger(__name__)

UNREACHABLE = "cannot be reached"
"""Why a worker is killed whose mailbox takes nothing: it has died, or as good as that."""
INTERRUPT_GRACE = 1.0
"""Seconds in which an interrupted turn has to end before its worker is killed."""
PARKING_GRACE = 2.0
"""Seconds in which a worker that is to leave has to be gone before it is killed: it has no turn to save."""


class Workers(Protocol):
    """Where workers come from."""

    def take(self, order: Order) -> None:
        """Give a worker to `order`, now or later."""

    def kill(self, worker_id: WorkerId) -> None:
        """End a worker at once."""

    def pid_of(self, worker_id: WorkerId) -> int | None:
        """Return its process id while it lives."""
        ...


@dataclass(frozen=True, slots=True)
class ConversationsStatistics:
    """How the table stands."""

    known: int
    with_process: int
    waiting_for_place: int
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
        workers: Workers,
        obituaries: Obituaries,
        limits: Limits,
        cli_overrides: tuple[str, ...],
        user_agent: Callable[[], str],
    ) -> None:
        self._mailroom = mailroom
        self._workers = workers
        self._obituaries = obituaries
        self._limits = limits
        self._cli_overrides = encode(cli_overrides)
        self._user_agent = user_agent
        self._table: dict[ConversationId, Conversation] = {}
        self._hosted: dict[WorkerId, Conversation] = {}
        self._placed = 0
        self._roster = Roster(limits.live_workers)
        self._running: set[Conversation] = set()
        self._reasons: dict[WorkerId, str] = {}
        self._departing: dict[WorkerId, Callable[[], None]] = {}
        self._watching: asyncio.TimerHandle | None = None
        self._parking: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.leaving: frozenset[WorkerId] = frozenset()
        self.on_turn_end: Callable[[Conversation, bool], None] = lambda _, __: None
        """Told of each turn that has run, after its audience; `is_first` where its conversation began with it."""

    def __iter__(self) -> Iterator[Conversation]:
        return iter(self._table.values())

    def open(self, overrides: bytes, title: str | None = None, *, keep: bool = False) -> Conversation:
        """Enter a new conversation. `overrides` is a JSON object (`config.settings.ConversationOverrides`).

        Its session file is there with its first turn, or from the beginning where it is to be kept.
        """
        conversation = Conversation(ConversationId(uuid7()), overrides, resume="no", keep=keep, title=title)
        self._table[conversation.id] = conversation
        return conversation

    def find(self, conversation_id: ConversationId) -> Conversation | None:
        """Return a conversation of this run."""
        return self._table.get(conversation_id)

    def take_up(self, conversation_id: ConversationId, path: str, overrides: bytes) -> Conversation:
        """Enter a conversation that goes on from a file. One that has a process already stays as it is."""
        known = self._table.get(conversation_id)
        if known is None:
            known = self._table[conversation_id] = Conversation(conversation_id, overrides, resume="must", path=path)
        elif known.state not in lifecycle.WITH_PROCESS and overrides != b"{}":
            known.overrides = overrides
        return known

    def bring_up(self, conversation: Conversation, audience: Audience) -> None:
        """See to it that the conversation has a process; the audience then gets its `session_configured` event."""
        if conversation.configured:
            audience.succeeded(conversation.configured)
        else:
            conversation.put_in_front([Turn(TurnId(uuid7()), conversation.id, None, audience)])
            self._advance(conversation)

    def observe(self, conversation: Conversation, observer: Observer) -> None:
        """Tell `observer` from now on what happens in a conversation."""
        conversation.observers += (observer,)

    def dismiss(self, conversation: Conversation, on_gone: Callable[[], None]) -> None:
        """End a conversation and forget it; `on_gone` is called once its process has saved and left."""
        worker_id = conversation.worker_id
        turns = conversation.take_all_turns()
        self._retire(conversation)
        del self._table[conversation.id]
        for turn in turns:
            _fail(conversation, turn, aborted("the conversation was closed"))
        if worker_id is None:
            on_gone()
        else:
            self._see_off(worker_id, on_gone)
        self._fill_places()

    def find_or_resume(self, conversation_id: ConversationId) -> Conversation:
        """Return a conversation of this run, else enter one that goes on from its session file if there is one."""
        known = self._table.get(conversation_id)
        if known is None:
            known = self._table[conversation_id] = Conversation(conversation_id, b"{}", resume="must")
        return known

    def submit(
        self, conversation: Conversation, items: bytes, audience: Audience, settings: TurnSettings | None = None
    ) -> Turn:
        """Queue a turn; it runs after those that were submitted before it, or fails at once as `overloaded`."""
        return self._queue(conversation, Turn(TurnId(uuid7()), conversation.id, items, audience, settings))

    def compact(self, conversation: Conversation, audience: Audience) -> Turn:
        """Queue a turn that puts a summary in the place of what was said so far; its last message is empty."""
        return self._queue(conversation, Turn(TurnId(uuid7()), conversation.id, b"", audience, compacts=True))

    def _queue(self, conversation: Conversation, turn: Turn) -> Turn:
        if conversation.queued >= self._limits.queued_turns and conversation.running is not None:
            turn.audience.failed(_overloaded(f"{conversation.queued} turns wait in this conversation already"))
            return turn
        conversation.is_leaving = False
        conversation.enqueue(turn)
        self._advance(conversation)
        return turn

    def steer(
        self, conversation: Conversation, items: bytes, audience: Audience, settings: TurnSettings | None = None
    ) -> Turn:
        """Put input into the running turn, which goes on with it; where none takes it in, it is a turn of its own.

        The settings are for that case. What was not taken in when somebody stops the running turn is void with it.
        """
        running = conversation.running
        if running is None or running.items is None or running.interrupted or conversation.queued:
            return self.submit(conversation, items, audience, settings)
        turn = Turn(TurnId(uuid7()), conversation.id, items, audience, settings)
        if len(conversation.steering) >= self._limits.queued_turns:
            audience.failed(_overloaded(f"{len(conversation.steering)} inputs wait in this conversation already"))
            return turn
        conversation.steering += (turn,)
        self._send(conversation, Steer(**_address(conversation), turn_id=running.id, input_id=turn.id), items)
        return turn

    def interrupt(self, turn: Turn, reason: str = "interrupted") -> None:
        """End a turn: at once if it waits, through its worker if it runs. Ended turns are left alone."""
        conversation = self._table.get(turn.conversation_id)
        if conversation is None or turn.interrupted:
            return
        turn.interrupted = True
        if conversation.withdraw(turn):
            _fail(conversation, turn, aborted(reason))
        elif turn is conversation.running and conversation.worker_id is not None:
            self._send(conversation, Interrupt(**_address(conversation), turn_id=turn.id))
            self._loop.call_later(INTERRUPT_GRACE, self._insist, conversation, conversation.incarnation, turn)

    def interrupt_all(self, conversation: Conversation) -> int:
        """End the turn that runs and those that wait; return how many there were."""
        turns = [turn for turn in (*(conversation.queue or ()), conversation.running) if turn is not None]
        for turn in turns:
            self.interrupt(turn)
        return len(turns)

    def release(self, conversation: Conversation) -> int:
        """End all turns, and the process once they have ended; return how many turns there were.

        The conversation's next turn brings it back.
        """
        count = self.interrupt_all(conversation)
        conversation.is_leaving = True
        if conversation.state == "idle":
            self._park(conversation)
        return count

    def decide(self, turn: Turn, question_id: int, decision: Decision) -> None:
        """Pass on what became of a question; void once the turn has ended."""
        conversation = self._table.get(turn.conversation_id)
        if conversation is not None and conversation.running is turn:
            if conversation.pulse is not None:
                conversation.pulse.questions.discard(question_id)
            self._send(conversation, Decide(**_address(conversation), question_id=question_id, decision=decision))

    def abort_all(self, reason: str) -> None:
        """Answer every turn, and ask every worker to save and leave; `leaving` then says which."""
        self.leaving = frozenset(self._hosted)
        for timer in (self._watching, self._parking):
            if timer is not None:
                timer.cancel()
        for conversation in list(self._table.values()):
            for turn in conversation.take_all_turns():
                _fail(conversation, turn, aborted(reason))
            if conversation.worker_id is not None:
                self._mailroom.send(conversation.worker_id, Close())
            self._retire(conversation)

    def fail_waiting(self, failure: Failure) -> None:
        """Fail the turns of all conversations that have ordered a worker; the orders are void."""
        for conversation in list(self._table.values()):
            if conversation.state == "starting" and conversation.worker_id is None:
                turns = conversation.take_all_turns()
                self._release_place(conversation)
                conversation.happen("died")
                for turn in turns:
                    _fail(conversation, turn, failure)
        self._fill_places()

    def receive(self, worker_id: WorkerId, received: ReceivedNotice) -> None:
        """Take a notice of a worker; one that does not come from the present incarnation is dropped."""
        notice, payload = received
        conversation = self._hosted.get(worker_id)
        if conversation is None or not _is_current(conversation, notice):
            log.debug("worker %s: %s from the past; dropped", worker_id, notice.wire.decode())
            return
        if conversation.pulse is not None:
            conversation.pulse.heard_at = self._loop.time()
        match notice:
            case Events():
                self._pass_on(conversation, notice, payload)
            case Heartbeat():
                self._note(conversation, notice)
            case Ask():
                self._pass_question_on(conversation, notice, payload)
            case Steered():
                self._steered(conversation, notice)
            case TurnEnded():
                self._end_turn(conversation, notice, payload)
            case CommandsEnded():
                conversation.open_commands = 0
            case Opened():
                self._opened(conversation, notice, payload)
            case OpenFailed():
                self._refuse(conversation, notice)
            case Ready() | Measured() | ErrandDone():
                log.debug("worker %s: %s does not belong to its conversation", worker_id, notice.wire.decode())
            case _:
                assert_never(notice)

    def lost(self, exited: Exited) -> None:
        """Take notice that a process ended; if it hosted a conversation, its running turn ends with it."""
        reason = self._reasons.pop(exited.id, None)
        conversation = self._hosted.pop(exited.id, None)
        if conversation is None:
            if (on_gone := self._departing.pop(exited.id, None)) is not None:
                on_gone()
            return
        state, pulse = conversation.state, conversation.pulse
        self._release_place(conversation)
        conversation.happen("died")
        conversation.put_in_front(conversation.take_steering())
        if state == "starting" and reason in (None, UNREACHABLE) and conversation.may_start_again():
            if (withdrawn := conversation.put_back()) is not None:
                _fail(conversation, withdrawn, aborted("interrupted"))
        elif state != "parking":
            self._mourn(conversation, exited, reason, pulse, had_started=state != "starting")
        self._advance(conversation)
        self._fill_places()

    def statistics(self) -> ConversationsStatistics:
        """Return how the table stands."""
        return ConversationsStatistics(
            known=len(self._table),
            with_process=self._placed,
            waiting_for_place=self._roster.waiting,
            turns_running=len(self._running),
            turns_waiting=sum(conversation.queued for conversation in self._table.values()),
        )

    # Places and workers

    def _advance(self, conversation: Conversation) -> None:
        """Run the next turn if nothing runs; find a process for the conversation first where it has none."""
        if conversation.running is not None or not conversation.queued:
            return
        if conversation.state in lifecycle.WAITING_FOR_PLACE:
            if conversation.state == "failed" and not conversation.has_recovered(self._loop.time()):
                self._fail_all(conversation)
            else:
                self._roster.wait(conversation)
                self._fill_places()
        elif conversation.worker_id is not None and conversation.state != "parking":
            self._start_turn(conversation)

    def _fill_places(self) -> None:
        """Give places to those that wait, parking the longest idle where there is none."""
        while self._roster.waiting and self._roster.has_place(self._placed):
            conversation = self._roster.next_waiting()
            if conversation is not None and conversation.queued:
                self._place(conversation)
        if self._roster.waiting and (idle := self._roster.longest_idle()) is not None:
            self._park(idle)

    def _place(self, conversation: Conversation) -> None:
        self._placed += 1
        conversation.happen("placed")
        conversation.incarnation = Incarnation(conversation.incarnation + 1)
        self._workers.take(lambda worker_id: self._host(conversation, worker_id))

    def _release_place(self, conversation: Conversation) -> None:
        self._placed -= 1
        self._roster.rouse(conversation)
        self._running.discard(conversation)
        conversation.worker_id = conversation.pulse = None
        conversation.open_commands = 0
        conversation.configured = b""

    def _host(self, conversation: Conversation, worker_id: WorkerId) -> None:
        if conversation.state != "starting":  # closed while it waited for a worker
            self._workers.kill(worker_id)
            return
        conversation.worker_id = worker_id
        self._hosted[worker_id] = conversation
        operation = Open(
            **_address(conversation),
            resume=conversation.resume,
            path=conversation.path,
            keep=conversation.keep,
            user_agent=self._user_agent(),
        )
        self._send(conversation, operation, b'{"cli":%b,"call":%b}' % (self._cli_overrides, conversation.overrides))
        if conversation.resume == "no":
            conversation.resume = "if-saved"
        self._start_turn(conversation)  # without waiting for `Opened`: the worker takes both in order

    def _opened(self, conversation: Conversation, notice: Opened, configured: bytes) -> None:
        conversation.happen("opened")
        conversation.false_starts = 0
        conversation.configured = configured
        conversation.placement = Placement(notice.cwd, notice.model, notice.session_path)
        conversation.title = notice.title or conversation.title
        conversation.tokens = notice.tokens
        opening = conversation.running
        if opening is not None and opening.items is not None:
            conversation.happen("turn_started")
            return
        conversation.running = conversation.pulse = None
        self._running.discard(conversation)
        if opening is not None:
            opening.audience.succeeded(configured)
        self._go_on(conversation)

    def _go_on(self, conversation: Conversation) -> None:
        if conversation.queued:
            self._advance(conversation)
        else:
            self._rest(conversation)

    def _rest(self, conversation: Conversation) -> None:
        self._roster.rest(conversation, self._loop.time())
        if conversation.is_leaving:
            self._park(conversation)
        self._park_later()
        self._fill_places()

    def _park_later(self) -> None:
        deadline = self._roster.next_deadline(self._limits.park_after)
        if self._parking is None and deadline is not None:
            self._parking = self._loop.call_at(deadline, self._park_overdue)

    def _park_overdue(self) -> None:
        self._parking = None
        now = self._loop.time()
        for conversation in self._roster.idle_since(now - self._limits.park_after):
            if conversation.open_commands:
                self._roster.rest(conversation, now)
            else:
                self._park(conversation)
        self._park_later()

    def _park(self, conversation: Conversation) -> None:
        self._roster.rouse(conversation)
        conversation.happen("park_asked")
        if conversation.worker_id is not None and not self._mailroom.send(conversation.worker_id, Close()):
            self._workers.kill(conversation.worker_id)
        self._loop.call_later(PARKING_GRACE, self._insist_on_parking, conversation, conversation.incarnation)

    # Turns

    def _start_turn(self, conversation: Conversation) -> None:
        turn = conversation.next_turn()
        if turn is None:
            return
        conversation.running = turn
        self._roster.rouse(conversation)
        if turn.items is None and conversation.configured:
            conversation.running = None
            turn.audience.succeeded(conversation.configured)
            self._go_on(conversation)
            return
        if conversation.state == "idle":
            conversation.happen("turn_started")
        now = self._loop.time()
        conversation.pulse = Pulse(heard_at=now, started_at=now)
        self._running.add(conversation)
        if turn.compacts:
            self._send(conversation, Compact(**_address(conversation), turn_id=turn.id))
        elif turn.items is not None:
            start = StartTurn(**_address(conversation), turn_id=turn.id, settings=turn.settings)
            self._send(conversation, start, turn.items)
        if self._watching is None:
            self._watching = self._loop.call_later(watch.INTERVAL, self._look)

    def _pass_on(self, conversation: Conversation, notice: Events, payload: bytes) -> None:
        turn = conversation.running
        if turn is not None and notice.turn_id in (turn.id, BEFORE_TURNS):
            turn.audience.events(notice.turn_id, payload)
        for observer in conversation.observers:
            observer.events(notice.turn_id, payload)

    def _pass_question_on(self, conversation: Conversation, notice: Ask, payload: bytes) -> None:
        turn, pulse = conversation.running, conversation.pulse
        if turn is not None and pulse is not None and turn.id == notice.turn_id:
            pulse.questions.add(notice.question_id)
            turn.audience.asks(notice.question_id, payload)

    def _note(self, conversation: Conversation, notice: Heartbeat) -> None:
        conversation.tokens = notice.tokens
        if conversation.pulse is not None:
            conversation.pulse.doing = notice.doing
            conversation.pulse.unsent_bytes = notice.unsent_bytes
        if conversation.running is not None:
            conversation.running.audience.progress(notice.doing)

    def _end_turn(self, conversation: Conversation, notice: TurnEnded, payload: bytes) -> None:
        turn = conversation.running
        if turn is None or notice.turn_id != turn.id:
            return
        is_first = conversation.is_unsaved
        conversation.running = conversation.pulse = None
        conversation.rested_at = self._loop.time()
        conversation.tokens = notice.tokens
        self._running.discard(conversation)
        conversation.happen("turn_ended")
        conversation.open_commands = notice.open_commands
        if notice.outcome == "completed":
            turn.audience.succeeded(payload)
        elif notice.outcome == "aborted":
            turn.audience.failed(aborted(notice.message or "interrupted"))
        else:
            turn.audience.failed(Failure(notice.error_kind or "internal", notice.message or "the turn failed"))
        _tell_end(conversation, turn)
        self.on_turn_end(conversation, is_first)
        left = conversation.take_steering()
        if turn.interrupted:
            for unread in left:
                _fail(conversation, unread, aborted("interrupted"))
        else:
            conversation.put_in_front(left)
        self._go_on(conversation)

    def _steered(self, conversation: Conversation, notice: Steered) -> None:
        for turn in conversation.steering:
            if turn.id == notice.input_id:
                conversation.steering = tuple(other for other in conversation.steering if other is not turn)
                turn.audience.succeeded(b"")

    # What goes wrong

    def _mourn(
        self, conversation: Conversation, exited: Exited, reason: str | None, pulse: Pulse | None, had_started: bool
    ) -> None:
        """Answer the turn that died with its worker; after too many deaths, those that wait too."""
        turn, conversation.running = conversation.running, None
        why = reason or death.cause(exited)
        if turn is not None:
            is_first = conversation.is_unsaved
            conversation.rested_at = self._loop.time()
            _fail(conversation, turn, (_crash_failure if had_started else _start_failure)(exited, turn, why))
            self.on_turn_end(conversation, is_first)
        doing = "idle" if pulse is None else pulse.doing
        about = {"conversation_id": conversation.id, "worker_id": exited.id}
        log.error(
            "conversation %s: its worker %d died (%s) while %s", conversation.id, exited.pid, why, doing, extra=about
        )
        self._obituaries.enter(exited, doing, reason, conversation.id, conversation.incarnation)
        if conversation.on_death(self._loop.time()):
            conversation.happen("died_too_often")

    def _fail_all(self, conversation: Conversation) -> None:
        last = self._obituaries.of(conversation.id)
        message = (
            f"Codex runtime error: the process of conversation {conversation.id} died too often in a short time"
            f"{'' if last is None else f', the last time by {last.cause}'}. Try again in a minute."
        )
        for turn in conversation.take_all_turns():
            _fail(conversation, turn, Failure("worker_crashed", message, {"resumable": True, "failed": True}))

    def _refuse(self, conversation: Conversation, notice: OpenFailed) -> None:
        worker_id = conversation.worker_id
        turns = conversation.take_all_turns()
        self._retire(conversation)
        del self._table[conversation.id]
        for turn in turns:
            _fail(conversation, turn, Failure(notice.error_kind, notice.message))
        if worker_id is not None:
            self._see_off(worker_id)
        self._fill_places()

    def _retire(self, conversation: Conversation) -> None:
        if conversation.state in lifecycle.WITH_PROCESS:
            if conversation.worker_id is not None:
                self._hosted.pop(conversation.worker_id, None)
            self._release_place(conversation)
        if conversation.state != "closed":
            conversation.happen("closed")

    def _look(self) -> None:
        """Kill what hangs or holds too much. Silence counts for nothing while it is we who do not listen."""
        self._watching = None
        now = self._loop.time()
        if self._mailroom.statistics().paused:
            for conversation in self._running:
                if conversation.pulse is not None:
                    conversation.pulse.heard_at = now
        for conversation, why in list(watch.overdue(self._running, self._limits, now)):
            self._kill(conversation, why)
        for conversation in list(self._running):
            pid = None if conversation.worker_id is None else self._workers.pid_of(conversation.worker_id)
            burden = None if pid is None else watch.overweight(watch.resident_memory(pid), self._limits)
            if burden is not None:
                self._kill(conversation, burden)
        if self._running:
            self._watching = self._loop.call_later(watch.INTERVAL, self._look)

    def _kill(self, conversation: Conversation, why: str) -> None:
        if conversation.worker_id is not None and conversation.worker_id not in self._reasons:
            about = {"conversation_id": conversation.id, "worker_id": conversation.worker_id}
            log.error("conversation %s: killing its worker (%s)", conversation.id, why, extra=about)
            self._reasons[conversation.worker_id] = why
            self._workers.kill(conversation.worker_id)

    def _insist(self, conversation: Conversation, incarnation: Incarnation, turn: Turn) -> None:
        """Kill the worker of a turn that should have ended, unless its end may only be waiting to be read."""
        if conversation.running is not turn or conversation.incarnation != incarnation:
            return
        if self._mailroom.statistics().paused:
            self._loop.call_later(INTERRUPT_GRACE, self._insist, conversation, incarnation, turn)
        else:
            self._kill(conversation, "did not end its turn when asked to")

    def _see_off(self, worker_id: WorkerId, on_gone: Callable[[], None] = lambda: None) -> None:
        """Have a worker leave that hosts nothing any more; `on_gone` is called once it has."""
        self._departing[worker_id] = on_gone
        if not self._mailroom.send(worker_id, Close()):
            self._workers.kill(worker_id)
        self._loop.call_later(PARKING_GRACE, self._insist_on_leaving, worker_id)

    def _insist_on_leaving(self, worker_id: WorkerId) -> None:
        if worker_id in self._departing:
            log.error("worker %s did not leave when asked to; killing it", worker_id)
            self._workers.kill(worker_id)

    def _insist_on_parking(self, conversation: Conversation, incarnation: Incarnation) -> None:
        if conversation.state == "parking" and conversation.incarnation == incarnation:
            self._kill(conversation, "did not leave when asked to")

    def _send(self, conversation: Conversation, operation: Operation, payload: bytes = b"") -> None:
        worker_id = conversation.worker_id
        if worker_id is not None and not self._mailroom.send(worker_id, operation, payload):
            self._kill(conversation, UNREACHABLE)


def _address(conversation: Conversation) -> _Address:
    return {"conversation_id": conversation.id, "incarnation": conversation.incarnation}


def _is_current(conversation: Conversation, notice: Notice) -> bool:
    return (
        isinstance(notice, Addressed)
        and notice.conversation_id == conversation.id
        and notice.incarnation == conversation.incarnation
    )


def _fail(conversation: Conversation, turn: Turn, failure: Failure) -> None:
    turn.audience.failed(failure)
    _tell_end(conversation, turn)


def _tell_end(conversation: Conversation, turn: Turn) -> None:
    for observer in conversation.observers:
        observer.turn_ended(turn.id)


def _overloaded(why: str) -> Failure:
    return Failure("overloaded", f"Codex runtime error: overloaded: {why}. Try again later.")


def _crash_failure(exited: Exited, turn: Turn, why: str) -> Failure:
    if turn.interrupted:
        return aborted("interrupted")
    message = (
        f"Codex runtime error: the process of conversation {turn.conversation_id} died ({why}). What it was doing may "
        "or may not have taken effect; codex-reply with this id goes on from where it was saved."
    )
    return Failure("worker_crashed", message, {**death.facts(exited), "cause": why, "resumable": True})


def _start_failure(exited: Exited, turn: Turn, why: str) -> Failure:
    if turn.interrupted:
        return aborted("interrupted")
    message = f"Failed to start Codex session: its process died ({why})"
    return Failure("start_failed", message, {**death.facts(exited), "cause": why, "resumable": True})
