"""A conversation as the supervisor keeps it: its state, its worker, and the turns that wait in it."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import HERE, ConversationId, Incarnation, NodeName, TurnId, WorkerId
from greenroom.protocol.internal.worker.notices import OwnWorktree, TurnProgress
from greenroom.protocol.spending import Spending
from greenroom.runtime.restart import RestartPolicy
from greenroom.supervisor.conversations.state import lifecycle
from greenroom.supervisor.conversations.state.open_question import OpenQuestion
from greenroom.supervisor.conversations.state.turn import Absent, Client, ConversationTurn, TurnObserver
from greenroom.supervisor.processes.restart import CONVERSATION

FALSE_STARTS = 2
"""How often a conversation gets another process because one died before it had opened the conversation."""
NOT_YET = Incarnation(0)
"""No process has hosted the conversation."""


class RequestFailedError(Exception):
    """What a client asked of a conversation beside its turns came to nothing; the text says why."""


class Conversation(msgspec.Struct, eq=False):
    """A conversation. Its state changes only through `happen`, by the table of the module `lifecycle`."""

    id: ConversationId
    overrides: bytes
    """Settings of the opening call, as a JSON object."""
    resume: Literal["no", "if-saved", "must"]
    """Whether its next process resumes from a session file (`greenroom.protocol.internal.worker.operations.Open`)."""
    path: str | None = None
    """The session file, where the client named one."""
    keep: bool = False
    """Whether its session file is created as soon as it is opened."""
    ephemeral: bool = False
    """Whether nothing of it is saved: it lasts as long as its process."""
    state: lifecycle.LifecycleState = "new"
    incarnation: Incarnation = NOT_YET
    worker_id: WorkerId | None = None
    running: ConversationTurn | None = None
    configured: bytes = b""
    """The event `session_configured` of its process; empty while it has none."""
    observers: tuple[TurnObserver, ...] = ()
    watchers: tuple[Callable[[], None], ...] = ()
    """Called whenever its process has reported something, a turn has ended or a question was decided."""
    steering: tuple[ConversationTurn, ...] = ()
    """Input that was sent into the running turn and not yet accepted; what is never accepted becomes a turn."""
    queue: deque[ConversationTurn] | None = None
    """`None` while nothing waits, which is the usual case: thousands of conversations are kept."""
    policy: RestartPolicy | None = None
    """`None` until its process has died once."""
    false_starts: int = 0
    """Consecutive processes that died before they had opened it."""
    pulse: "Pulse | None" = None
    """Signs of life of the running turn."""
    open_commands: int = 0
    """Commands that keep running between its turns; while there are any, idleness alone does not park it."""
    holds_unsaved: bool = False
    """Whether its process holds records that could not be written to its file; then idleness does not park it."""
    tokens: int | None = None
    """Tokens of all its turns, as reported by its processes; `None` before the first report."""
    spending: Spending | None = None
    """What all its turns have used, as reported by its processes; `None` where nothing has a price."""
    rested_at: float | None = None
    """End of its last turn, by the loop's clock; `None` where no turn has run since the server started."""
    title: str | None = None
    """The beginning of its first input, as a title."""
    is_leaving: bool = False
    """Whether it is to be parked as soon as it is idle."""
    is_wanted_elsewhere: bool = False
    """Whether another host waits for it, so that it is to be parked as soon as no turn runs."""
    placement: "Placement | None" = None
    """Its working directory and session file, as its last process has reported."""
    user_agent: str = ""
    """The user agent of its present process, or of the one that is being started, for the model's servers."""
    is_held: bool = False
    """Whether its worker has been told to send no events for now."""
    node: NodeName = HERE
    """Where its present process is, or its last one was."""
    lacking: frozenset[NodeName] = frozenset()
    """Nodes that were found to lack its directory."""
    requests: dict[int, asyncio.Future[bytes]] | None = None
    """What clients ask of its process beside the turns, by number; `None` while there is nothing of the kind."""
    is_stale: bool = False
    """Whether its process has settings that have changed since, and is to end as soon as it is idle."""

    def happen(self, happening: lifecycle.LifecycleEvent) -> None:
        """Change to the following state. Raises `LocalProtocolError` where the table has none."""
        self.state = lifecycle.after(self.state, happening)

    @property
    def is_unsaved(self) -> bool:
        """Whether it was begun in this run and none of its turns has ended, so that it may have no session file yet."""
        return self.rested_at is None and self.resume != "must"

    @property
    def foremost(self) -> ConversationTurn | None:
        """The running turn or, where none runs, the next one."""
        turns = (self.running, *(self.queue or ()))
        return next((turn for turn in turns if turn is not None and turn.items is not None), None)

    @property
    def takes_steering(self) -> bool:
        """Whether a turn runs that may accept further input, and none waits that was submitted earlier."""
        turn = self.running
        return turn is not None and turn.items is not None and not turn.interrupted and not self.queued

    @property
    def wants_deltas(self) -> bool:
        """Whether the audience of the running turn or a listener has a use for pieces of texts."""
        return bool(self.observers) or (self.running is not None and self.running.audience.wants_deltas)

    @property
    def wants_steps(self) -> bool:
        """Whether the audience of the running turn has a use for each of its steps."""
        return self.running is not None and self.running.audience.wants_steps

    @property
    def queued(self) -> int:
        """Number of waiting turns."""
        return 0 if self.queue is None else len(self.queue)

    @property
    def has_file(self) -> bool:
        """Whether its session file exists, as far as its processes have reported its path."""
        return self.saved_bytes is not None

    @property
    def saved_bytes(self) -> int | None:
        """Size of its session file in bytes; `None` where there is none, or its path is not known."""
        try:
            return None if self.placement is None else os.stat(self.placement.session_path).st_size
        except OSError:
            return None

    @property
    def has_left_no_trace(self) -> bool:
        """Whether the running turn has sent no event and saved nothing: then no command of it has run."""
        pulse = self.pulse
        return pulse is not None and pulse.is_silent and pulse.saved_bytes == self.saved_bytes

    @property
    def is_needed(self) -> bool:
        """Whether a client waits for it or listens, or its session file is known here only."""
        return bool(self.observers or self.queued or self.path is not None)

    @property
    def is_unread(self) -> bool:
        """Whether a client that listens to it does not read at the moment."""
        turn = self.running
        return (turn is not None and not turn.audience.client.is_reading) or any(
            not observer.client.is_reading for observer in self.observers
        )

    @property
    def turns(self) -> list[ConversationTurn]:
        """The running turn, input for it, and those that wait."""
        turns = (self.running, *self.steering, *(self.queue or ()))
        return [turn for turn in turns if turn is not None]

    def turns_of(self, client: Client) -> list[ConversationTurn]:
        """Return the turns of a client: the running one, input for it, and those that wait."""
        return [turn for turn in self.turns if turn.audience.client is client]

    def turns_begun_by(self, client: Client) -> list[ConversationTurn]:
        """Return the turns of a client, also those that outlive it."""
        clients = ((turn, turn.audience.client) for turn in self.turns)
        return [turn for turn, one in clients if client is (one.begun_by if isinstance(one, Absent) else one)]

    def enqueue(self, turn: ConversationTurn) -> None:
        """Append a turn to the queue."""
        if self.queue is None:
            self.queue = deque()
        self.queue.append(turn)

    def next_turn(self) -> ConversationTurn | None:
        """Remove the turn that has waited longest, and return it."""
        if self.queue is None:
            return None
        turn = self.queue.popleft()
        if not self.queue:
            self.queue = None
        return turn

    def withdraw(self, turn: ConversationTurn) -> bool:
        """Remove a waiting turn from the queue; return whether it was there."""
        if self.queue is None or turn not in self.queue:
            return False
        self.queue.remove(turn)
        if not self.queue:
            self.queue = None
        return True

    def fail(self, turn: ConversationTurn, failure: Failure) -> None:
        """Report the failure of a turn to its audience and to the observers."""
        turn.fail(failure)
        self.notify_end(turn)

    def fail_all(self, failure: Failure) -> None:
        """Fail the running turn and those that wait."""
        for turn in self.take_all_turns():
            self.fail(turn, failure)

    def notify_end(self, turn: ConversationTurn) -> None:
        """Tell the observers that a turn has ended, after its audience."""
        for observer in self.observers:
            observer.turn_ended(turn.id)
        self.notify_watchers()

    def notify_watchers(self) -> None:
        """Call the watchers."""
        for watcher in self.watchers:
            watcher()

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Let `watcher` be called within the block."""
        self.watchers += (watcher,)
        try:
            yield
        finally:
            self.watchers = tuple(other for other in self.watchers if other is not watcher)

    def drop_pulse(self) -> None:
        """Forget the signs of life of a turn that runs no more; its questions are void."""
        if self.pulse is not None:
            for question in self.pulse.questions.values():
                question.close()
        self.pulse = None

    def lose_process(self) -> None:
        """Reset the state that belonged to its last process."""
        self.worker_id = None
        self.drop_pulse()
        self.is_held = False
        self.open_commands = 0
        self.is_stale = False
        requests, self.requests = self.requests, None
        for result in (requests or {}).values():
            if not result.done():
                result.set_exception(RequestFailedError("the process of the conversation has ended"))
        self.configured = b""

    def may_start_again(self) -> bool:
        """Count a process that died before the opening, and tell whether another may be started without a request."""
        self.false_starts += 1
        return self.false_starts <= FALSE_STARTS

    def put_back(self) -> ConversationTurn | None:
        """Requeue the turn that was to run, as the next one; return it instead if it has been interrupted."""
        turn, self.running = self.running, None
        if turn is None or turn.interrupted:
            return turn
        if self.queue is None:
            self.queue = deque()
        self.queue.appendleft(turn)
        return None

    def take_all_turns(self) -> list[ConversationTurn]:
        """Remove the running turn and those that wait, and return them in order."""
        turns = [turn for turn in (self.running, *self.steering, *(self.queue or ())) if turn is not None]
        self.running = self.queue = None
        self.steering = ()
        return turns

    def take_steering(self) -> tuple[ConversationTurn, ...]:
        """Remove and return the input that the turn which was running has not accepted."""
        left, self.steering = self.steering, ()
        return left

    def take_input(self, input_id: TurnId) -> ConversationTurn | None:
        """Remove and return one input that was sent to the running turn; `None` where it was removed already."""
        found = next((turn for turn in self.steering if turn.id == input_id), None)
        self.steering = tuple(turn for turn in self.steering if turn is not found)
        return found

    def put_in_front(self, turns: Iterable[ConversationTurn]) -> None:
        """Queue turns before those that wait already, in their order."""
        waiting = [*turns, *(self.queue or ())]
        self.queue = deque(waiting) if waiting else None

    def on_death(self, now: float) -> bool:
        """Count a death of its process at `now`, and return whether the restart limit is exceeded."""
        if self.policy is None:
            self.policy = RestartPolicy(CONVERSATION)
        return self.policy.on_death(now) is None

    def has_recovered(self, now: float) -> bool:
        """Tell whether the period has passed in which deaths count."""
        return self.policy is None or self.policy.deaths_in_period(now) == 0


class Placement(msgspec.Struct, frozen=True):
    """Where a conversation works, with which model, and where it is saved."""

    cwd: str
    model: str
    session_path: str
    worktree: OwnWorktree | None = None


class Pulse(msgspec.Struct):
    """What the worker of a running turn has last reported. Times are the loop's."""

    heard_at: float
    started_at: float
    progress: TurnProgress = TurnProgress()
    saved_bytes: int | None = None
    """Size of the session file when the turn was sent to the worker (`Conversation.saved_bytes`)."""
    questions: dict[int, OpenQuestion] = msgspec.field(default_factory=dict)
    """Questions to the user that wait for a decision, by their numbers."""

    @property
    def is_silent(self) -> bool:
        """Whether its worker has sent nothing since the turn was sent to it."""
        return self.heard_at == self.started_at
