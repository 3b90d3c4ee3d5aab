"""A conversation as the supervisor keeps it: where it stands, who hosts it, and the turns that wait for it."""

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from greenroom.protocol.ids import ConversationId, Incarnation, WorkerId
from greenroom.protocol.mcp.handshake import Failure
from greenroom.runtime.restart import RestartPolicy
from greenroom.supervisor.conversations import lifecycle
from greenroom.supervisor.conversations.turn import Turn, TurnObserver
from greenroom.supervisor.processes.restart import CONVERSATION

FALSE_STARTS = 2
"""How often a conversation is given another process because one died before it had begun."""
NOT_YET = Incarnation(0)
"""No process has hosted the conversation."""


@dataclass(slots=True, eq=False)
class Conversation:
    """Its state changes only through `happen`, as the table of `greenroom.supervisor.conversations.lifecycle`
    allows."""

    id: ConversationId
    overrides: bytes
    """What the opening call set, as a JSON object."""
    resume: Literal["no", "if-saved", "must"]
    """Whether its next process goes on from a session file (`greenroom.protocol.internal.worker.Open`)."""
    path: str | None = None
    """The session file, where the client named it."""
    keep: bool = False
    """Whether its session file is made as soon as it is opened."""
    state: lifecycle.State = "new"
    incarnation: Incarnation = NOT_YET
    worker_id: WorkerId | None = None
    running: Turn | None = None
    configured: bytes = b""
    """The event by which its process announced it; empty while it has none."""
    observers: tuple[TurnObserver, ...] = ()
    steering: tuple[Turn, ...] = ()
    """Input that was sent into the running turn and not taken in yet; else it becomes a turn of its own."""
    queue: deque[Turn] | None = None
    """`None` while nothing waits, which is nearly always: thousands of these are kept."""
    policy: RestartPolicy | None = None
    """`None` until its process has died once."""
    false_starts: int = 0
    """Processes in a row that died before they had opened it."""
    pulse: "Pulse | None" = None
    """Signs of life of the running turn."""
    open_commands: int = 0
    """Commands that go on between its turns: it is not parked for its idleness alone then."""
    holds_unsaved: bool = False
    """Whether its process holds what could not be written to its file: it is not parked for its idleness then."""
    tokens: int | None = None
    """Tokens of all its turns, as its processes have told; `None` before one has."""
    rested_at: float | None = None
    """When its last turn ended, by the loop's clock; `None` where none has in this run."""
    title: str | None = None
    """How it began, in a few words."""
    is_leaving: bool = False
    """Whether it is to be parked as soon as it is idle."""
    placement: "Placement | None" = None
    """Where it works and is saved, as its last process has told."""

    def happen(self, happening: lifecycle.LifecycleEvent) -> None:
        """Go to the state that follows. Raises `LocalProtocolError` where the table has none."""
        self.state = lifecycle.after(self.state, happening)

    @property
    def is_unsaved(self) -> bool:
        """Whether it began in this run and no turn of it has ended, so that there may be no session file of it yet."""
        return self.rested_at is None and self.resume != "must"

    @property
    def foremost(self) -> Turn | None:
        """The turn that runs or, where none does, that will run next."""
        turns = (self.running, *(self.queue or ()))
        return next((turn for turn in turns if turn is not None and turn.items is not None), None)

    @property
    def takes_steering(self) -> bool:
        """Whether a turn runs that may take in further input: none waits that was to be asked before that."""
        turn = self.running
        return turn is not None and turn.items is not None and not turn.interrupted and not self.queued

    @property
    def queued(self) -> int:
        """How many turns wait."""
        return 0 if self.queue is None else len(self.queue)

    @property
    def has_file(self) -> bool:
        """Whether its session file is there, as far as its processes have told where that is."""
        return self.saved_bytes is not None

    @property
    def saved_bytes(self) -> int | None:
        """Size of its session file; `None` where there is none, or nobody has told us where."""
        try:
            return None if self.placement is None else os.stat(self.placement.session_path).st_size
        except OSError:
            return None

    @property
    def has_left_no_trace(self) -> bool:
        """Whether nothing is heard of the running turn and nothing of it is saved: no command of it has run."""
        pulse = self.pulse
        return pulse is not None and pulse.is_silent and pulse.saved_bytes == self.saved_bytes

    @property
    def is_needed(self) -> bool:
        """Whether somebody waits for it or listens, or only we know where its session file is."""
        return bool(self.observers or self.queued or self.path is not None)

    def enqueue(self, turn: Turn) -> None:
        """Let a turn wait for those before it."""
        if self.queue is None:
            self.queue = deque()
        self.queue.append(turn)

    def next_turn(self) -> Turn | None:
        """Take the turn that has waited longest."""
        if self.queue is None:
            return None
        turn = self.queue.popleft()
        if not self.queue:
            self.queue = None
        return turn

    def withdraw(self, turn: Turn) -> bool:
        """Take a waiting turn out of the line; return whether it was there."""
        if self.queue is None or turn not in self.queue:
            return False
        self.queue.remove(turn)
        if not self.queue:
            self.queue = None
        return True

    def fail(self, turn: Turn, failure: Failure) -> None:
        """Tell everybody that a turn of it has come to nothing."""
        turn.audience.failed(failure)
        self.tell_end(turn)

    def fail_all(self, failure: Failure) -> None:
        """Fail the running turn and those that wait."""
        for turn in self.take_all_turns():
            self.fail(turn, failure)

    def tell_end(self, turn: Turn) -> None:
        """Tell those who listen that a turn has ended, after its audience."""
        for observer in self.observers:
            observer.turn_ended(turn.id)

    def lose_process(self) -> None:
        """Forget what only concerns the process that it had."""
        self.worker_id = self.pulse = None
        self.open_commands = 0
        self.configured = b""

    def may_start_again(self) -> bool:
        """Count a process that died before anything had begun, and tell whether another one may try unasked."""
        self.false_starts += 1
        return self.false_starts <= FALSE_STARTS

    def put_back(self) -> Turn | None:
        """Let the turn that was to run be the next one again; return it instead if somebody asked for its end."""
        turn, self.running = self.running, None
        if turn is None or turn.interrupted:
            return turn
        if self.queue is None:
            self.queue = deque()
        self.queue.appendleft(turn)
        return None

    def take_all_turns(self) -> list[Turn]:
        """Take the running turn and those that wait, in order, out of the conversation."""
        turns = [turn for turn in (self.running, *self.steering, *(self.queue or ())) if turn is not None]
        self.running = self.queue = None
        self.steering = ()
        return turns

    def take_steering(self) -> tuple[Turn, ...]:
        """Take out the input that the turn which was running has not taken in."""
        left, self.steering = self.steering, ()
        return left

    def put_in_front(self, turns: Iterable[Turn]) -> None:
        """Let turns run before those that wait already, in their order."""
        waiting = [*turns, *(self.queue or ())]
        self.queue = deque(waiting) if waiting else None

    def on_death(self, now: float) -> bool:
        """Count a death of its process at `now`, and return whether it was one too many."""
        if self.policy is None:
            self.policy = RestartPolicy(CONVERSATION)
        return self.policy.on_death(now) is None

    def has_recovered(self, now: float) -> bool:
        """Tell whether the time has passed for which deaths count."""
        return self.policy is None or self.policy.deaths_in_period(now) == 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a conversation works, with what, and where it is saved."""

    cwd: str
    model: str
    session_path: str


@dataclass(slots=True)
class Pulse:
    """What the worker of a running turn has last said of itself. Times are the loop's."""

    heard_at: float
    started_at: float
    doing: str = "running a turn"
    """In words; until its worker has told, no more than this."""
    unsent_bytes: int = 0
    saved_bytes: int | None = None
    """Size of the session file when the turn was sent to the worker (`Conversation.saved_bytes`)."""
    questions: set[int] = field(default_factory=set)
    """Questions to the user that wait for an answer."""

    @property
    def is_silent(self) -> bool:
        """Whether its worker has said nothing since the turn was sent to it."""
        return self.heard_at == self.started_at
