"""All conversations, and the operations on them."""

from collections.abc import Callable, Iterator

import msgspec

from greenroom.config.defaults import Limits
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, NodeName, TurnId, WorkerId, uuid7
from greenroom.protocol.internal.process import Exited
from greenroom.protocol.internal.worker.operations import TurnSettings
from greenroom.supervisor.conversations.assignments import Workers
from greenroom.supervisor.conversations.client_requests import ClientRequests
from greenroom.supervisor.conversations.open_questions import OpenQuestions
from greenroom.supervisor.conversations.scheduler import ConversationScheduler
from greenroom.supervisor.conversations.sharing import SharedConversations
from greenroom.supervisor.conversations.state import lifecycle
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.turn import (
    UNKNOWN_CALL,
    Audience,
    CallOrigin,
    Client,
    ConversationTurn,
    Onlooker,
    TurnObserver,
    TurnProbe,
    UserCommand,
    aborted,
)
from greenroom.supervisor.conversations.state.turn_counters import TurnCounters
from greenroom.supervisor.conversations.turns import OnTurnEnd
from greenroom.supervisor.conversations.worker_notices import WorkerNotices
from greenroom.supervisor.processes.exits import ExitHistory
from greenroom.supervisor.processes.worker_router import WorkerRouter


class ConversationsStatistics(msgspec.Struct, frozen=True):
    """Counters of the conversations."""

    known: int
    with_process: int
    waiting_for_place: int
    turns_running: int
    turns_waiting: int
    forgotten: int
    """Conversations that were at rest and have been dropped from memory."""
    held: int
    """Conversations that are held back because a client does not read."""
    restarts: int = 0
    """Processes of conversations that took the place of one that died."""


class Conversations:
    """All conversations since the server started. Runs on the supervisor's loop."""

    def __init__(
        self,
        router: WorkerRouter,
        workers: Workers,
        exit_history: ExitHistory,
        limits: Limits,
        cli_overrides: tuple[str, ...],
    ) -> None:
        self._limits = limits
        self._scheduler = ConversationScheduler(router, workers, exit_history, limits, cli_overrides, self._turn_ended)
        self._table, self._assignments = self._scheduler.table, self._scheduler.assignments
        self._turns, self._slots = self._scheduler.turns, self._scheduler.slots
        self.shared = SharedConversations(self._scheduler)
        """What another host sees of them, which replaces this one or is replaced by it."""
        self.requests = ClientRequests(self._assignments, self._slots, self._scheduler.settle)
        """What clients ask of conversations beside their turns."""
        self.questions = OpenQuestions(self._table, self._turns)
        """The questions of their turns."""
        self.notices = WorkerNotices(self._scheduler, self.requests)
        """What their workers send."""
        self.pursues_goals = True
        """Whether turns may begin that no client asks for; not so once this host is to end."""
        self.leaving: frozenset[WorkerId] = frozenset()
        self.turn_listeners: set[OnTurnEnd] = set()
        """Called after the audience of each turn that has run, with whether it was the first of its conversation."""
        self.leave_listeners: set[Callable[[Client], None]] = set()
        """Called with each client that leaves, before what it has begun is ended."""
        self.open_listeners = self._turns.open_listeners
        """Called with each conversation that a worker has opened, and its event `session_configured`."""
        self.counters = TurnCounters()
        """Counts what clients ask for, and what turns take."""
        self.probes: list[TurnProbe] = [self.counters]
        """Are told of the life of every turn."""

    def __iter__(self) -> Iterator[Conversation]:
        return iter(self._table)

    def open(
        self, overrides: bytes, title: str | None = None, *, keep: bool = False, ephemeral: bool = False
    ) -> Conversation:
        """Enter a new conversation. `overrides` is a JSON object (`greenroom.config.settings.ConversationOverrides`).

        Its session file is created with its first turn, or at once where `keep` is set; none is where `ephemeral` is.
        """
        new = Conversation(ConversationId(uuid7()), overrides, resume="no", keep=keep, title=title, ephemeral=ephemeral)
        return self._table.enter(new)

    def find(self, conversation_id: ConversationId) -> Conversation | None:
        """Return a conversation that is kept: of this run, unless it has rested for long."""
        return self._table.find(conversation_id)

    def worktree_of(self, conversation_id: ConversationId) -> dict[str, str] | None:
        """Return the `path` and `branch` of a conversation's own worktree; `None` if it has none or is not kept."""
        conversation = self._table.find(conversation_id)
        worktree = None if conversation is None or conversation.placement is None else conversation.placement.worktree
        return None if worktree is None else {"path": worktree.path, "branch": worktree.branch}

    def find_or_resume(self, conversation_id: ConversationId) -> Conversation:
        """Return a conversation that is kept, else enter one that resumes from its session file if there is one."""
        known = self._table.find(conversation_id)
        return known or self._table.enter(Conversation(conversation_id, b"{}", resume="must"))

    def take_up(
        self, conversation_id: ConversationId, path: str | None, overrides: bytes, *, ephemeral: bool = False
    ) -> Conversation:
        """Enter a conversation that resumes from a file, which is looked for where `path` is `None`.

        One that has a process already stays as it is. Where `ephemeral` is set, nothing is added to the file.
        """
        known = self._table.find(conversation_id)
        if known is None:
            return self._table.enter(
                Conversation(conversation_id, overrides, resume="must", path=path, ephemeral=ephemeral)
            )
        if known.state not in lifecycle.WITH_PROCESS and overrides != b"{}":
            known.overrides = overrides
        return known

    def bring_up(self, conversation: Conversation, audience: Audience) -> None:
        """Ensure that the conversation has a process; the audience then gets its event `session_configured`."""
        if conversation.configured and conversation.state != "parking":
            audience.succeeded(conversation.configured)
        else:
            self._table.mark_busy(conversation)
            conversation.put_in_front([ConversationTurn(TurnId(uuid7()), conversation.id, None, audience)])
            self._scheduler.advance(conversation)

    def observe(self, conversation: Conversation, observer: TurnObserver) -> None:
        """Report the events of a conversation to `observer` from now on."""
        self._table.mark_busy(conversation)
        conversation.observers += (observer,)
        self._assignments.follow_readers(conversation)
        self._turns.select_events(conversation)

    def unobserve(self, conversation: Conversation, observer: TurnObserver) -> None:
        """Report no more events of a conversation to `observer`."""
        conversation.observers = tuple(other for other in conversation.observers if other is not observer)
        self._assignments.follow_readers(conversation)
        self._turns.select_events(conversation)
        self._scheduler.let_rest(conversation)

    def look_on(self, conversation_id: ConversationId, onlooker: Onlooker) -> None:
        """Report the events of a conversation, known or not, to `onlooker` from now on. Nothing else changes by it."""
        self._turns.look_on(conversation_id, onlooker)
        self._select_events(conversation_id)

    def look_away(self, conversation_id: ConversationId, onlooker: Onlooker) -> None:
        """Report no more events of a conversation to `onlooker`."""
        self._turns.look_away(conversation_id, onlooker)
        self._select_events(conversation_id)

    def dismiss(self, conversation: Conversation, on_gone: Callable[[], None]) -> None:
        """End a conversation and remove it; `on_gone` is called once its process has saved and exited."""
        self._scheduler.close(conversation, aborted("the conversation was closed"), on_gone)

    # Turns

    def submit(
        self,
        conversation: Conversation,
        items: bytes,
        audience: Audience,
        settings: TurnSettings | None = None,
        output_schema: bytes | None = None,
        origin: CallOrigin = UNKNOWN_CALL,
    ) -> ConversationTurn:
        """Queue a turn; it runs after those that were submitted before it, or fails at once as `overloaded`.

        `output_schema` is the JSON Schema that its last message must fit, as JSON.
        """
        turn = ConversationTurn(
            TurnId(uuid7()), conversation.id, items, audience, settings, output_schema, origin=origin
        )
        return self._queue(conversation, turn)

    def pursue_goal(
        self,
        conversation: Conversation,
        audience: Audience,
        settings: TurnSettings | None = None,
        origin: CallOrigin = UNKNOWN_CALL,
    ) -> ConversationTurn:
        """Queue a turn in which the model goes on with the goal of the conversation."""
        turn = ConversationTurn(
            TurnId(uuid7()), conversation.id, b"[]", audience, settings, pursues_goal=True, origin=origin
        )
        return self._queue(conversation, turn)

    def compact(
        self, conversation: Conversation, audience: Audience, origin: CallOrigin = UNKNOWN_CALL
    ) -> ConversationTurn:
        """Queue a turn that replaces the history by a summary; its last message is empty."""
        turn = ConversationTurn(
            TurnId(uuid7()), conversation.id, b"", audience, compacts=True, kind="compact", origin=origin
        )
        return self._queue(conversation, turn)

    def run_user_command(
        self, conversation: Conversation, command: UserCommand, audience: Audience, origin: CallOrigin = UNKNOWN_CALL
    ) -> ConversationTurn:
        """Queue a turn that is a command of the user; its last message is empty."""
        turn = ConversationTurn(
            TurnId(uuid7()), conversation.id, b"", audience, user_command=command, kind="command", origin=origin
        )
        return self._queue(conversation, turn)

    def steer(
        self,
        conversation: Conversation,
        items: bytes,
        audience: Audience,
        settings: TurnSettings | None = None,
        origin: CallOrigin = UNKNOWN_CALL,
    ) -> ConversationTurn:
        """Send input into the running turn; where no turn accepts it, it becomes a turn of its own.

        The settings are for that case. Input that was not accepted when the running turn is interrupted is dropped with
        it.
        """
        if not conversation.takes_steering:
            return self.submit(conversation, items, audience, settings, origin=origin)
        turn = ConversationTurn(
            TurnId(uuid7()), conversation.id, items, audience, settings, kind="steer", origin=origin
        )
        turn.accept(self.probes)
        if len(conversation.steering) >= self._limits.queued_turns:
            _refuse(turn, f"{len(conversation.steering)} inputs wait in this conversation already")
        else:
            self._turns.steer(conversation, turn, items)
        return turn

    def interrupt(self, turn: ConversationTurn, reason: str = "interrupted") -> None:
        """Interrupt a turn: at once if it waits, through its worker if it runs. Ended turns are left alone."""
        conversation = self._table.find(turn.conversation_id)
        if conversation is None or turn.interrupted:
            return
        turn.interrupted = True
        if conversation.withdraw(turn):
            conversation.fail(turn, aborted(reason))
            self._scheduler.let_rest(conversation)
        elif turn is conversation.running and conversation.worker_id is not None:
            self._turns.interrupt(conversation, turn)

    def interrupt_all(self, conversation: Conversation) -> int:
        """Interrupt the running turn and those that wait; return how many there were."""
        turns = [turn for turn in (*(conversation.queue or ()), conversation.running) if turn is not None]
        for turn in turns:
            self.interrupt(turn)
        return len(turns)

    def is_busy_for(self, client: Client) -> bool:
        """Tell whether a turn of a client runs or waits, or the client listens to a conversation."""
        return any(
            conversation.turns_of(client) or any(one.client is client for one in conversation.observers)
            for conversation in self._table
        )

    def interrupt_of(self, client: Client) -> int:
        """Interrupt the turns of a client, also those that wait for its user; return how many there were."""
        turns = [turn for conversation in self._table for turn in conversation.turns_begun_by(client)]
        for turn in turns:
            self.interrupt(turn)
        return len(turns)

    def release(self, conversation: Conversation) -> int:
        """Interrupt all turns, and end the process once they have ended; return how many turns there were.

        The conversation's next turn starts a process again.
        """
        count = self.interrupt_all(conversation)
        conversation.is_leaving = True
        if conversation.state == "idle" and not self._assignments.is_being_killed(conversation):
            self._slots.park(conversation)
        return count

    def reload_settings(self) -> None:
        """Apply the present settings to all conversations, to each as soon as it is idle."""
        for conversation in list(self._table):
            self._scheduler.reload(conversation)

    # For one client

    def follow_reader(self, client: Client) -> None:
        """Hold back the conversations that a client listens to if it does not read (`Client.is_reading`), else none."""
        self._assignments.follow_reader(client)

    def leave(self, client: Client, reason: str) -> None:
        """End what a client has begun: its turns fail at once and are interrupted, and it listens no more."""
        for listener in tuple(self.leave_listeners):
            listener(client)
        for conversation in list(self._table):
            wanted = conversation.wants_deltas, conversation.wants_steps
            conversation.observers = tuple(one for one in conversation.observers if one.client is not client)
            for turn in conversation.turns_of(client):
                self._abandon(conversation, turn, reason)
            if (conversation.wants_deltas, conversation.wants_steps) != wanted:
                self._turns.select_events(conversation)
            self._assignments.follow_readers(conversation)

    def _abandon(self, conversation: Conversation, turn: ConversationTurn, reason: str) -> None:
        turn.abandon(aborted(reason))
        if turn in conversation.steering:
            conversation.steering = tuple(other for other in conversation.steering if other is not turn)
            turn.fail(aborted(reason))  # for the probes alone: its audience has left
        if turn.items is not None or turn is not conversation.running:  # an opening ends by itself
            self.interrupt(turn)

    # For all conversations, or their workers

    def abort_all(self, reason: str) -> None:
        """Fail every turn, and ask every worker to save and exit; `leaving` then returns which."""
        self.leaving = self._assignments.ids
        self._scheduler.stop()
        self._assignments.dismiss_all()
        for conversation in list(self._table):
            conversation.fail_all(aborted(reason))
            self._scheduler.retire(conversation)

    def fail_waiting(self, failure: Failure) -> None:
        """Fail the turns of all conversations that have ordered a worker; the orders are cancelled."""
        for conversation in list(self._table):
            if conversation.state == "starting" and conversation.worker_id is None:
                self._scheduler.fail_waiting(conversation, failure)
        self._slots.fill()

    def of_worker(self, worker_id: WorkerId) -> Conversation | None:
        """Return the conversation that a worker hosts."""
        return self._assignments.conversation_of(worker_id)

    def kill(self, worker_id: WorkerId, why: str) -> bool:
        """Kill a worker that hosts a conversation, and return whether it does; its end is reported as any other."""
        return self._scheduler.kill(worker_id, why)

    def lost(self, exited: Exited, reason: str | None) -> None:
        """Handle the end of a process, and its reason if known; the turn that it ran ends with it."""
        self._scheduler.lost(exited, reason)

    def on_node(self, node: NodeName) -> list[Conversation]:
        """Return the conversations that have a process on a node."""
        return [one for one in self._table if one.worker_id is not None and one.node == node]

    def fill(self) -> None:
        """Assign workers to conversations that wait, where there is more room for them than before."""
        self._slots.fill()

    def vacate(self, node: NodeName, *, interrupt: bool = False) -> None:
        """End the processes on a node as soon as no turn runs in them, or at once."""
        for conversation in self.on_node(node):
            if interrupt:
                self.release(conversation)
            elif conversation.state == "idle" and not self._assignments.is_being_killed(conversation):
                self._slots.park(conversation)
            else:
                conversation.is_leaving = True

    @property
    def are_at_rest(self) -> bool:
        """Whether none of them has a process."""
        return self._slots.taken == 0

    @property
    def have_no_turns(self) -> bool:
        """Whether no turn runs or waits."""
        return not self._turns.running and not any(conversation.queued for conversation in self._table)

    def statistics(self) -> ConversationsStatistics:
        """Return the counters."""
        return ConversationsStatistics(
            known=len(self._table),
            with_process=self._slots.taken,
            waiting_for_place=self._slots.waited_for,
            turns_running=len(self._turns.running),
            turns_waiting=sum(conversation.queued for conversation in self._table),
            forgotten=self._table.forgotten,
            held=self._assignments.held,
            restarts=self._slots.restarts,
        )

    def _queue(self, conversation: Conversation, turn: ConversationTurn) -> ConversationTurn:
        turn.accept(self.probes)
        if conversation.queued >= self._limits.queued_turns and conversation.running is not None:
            _refuse(turn, f"{conversation.queued} turns wait in this conversation already")
            return turn
        self._table.mark_busy(conversation)
        conversation.is_leaving = False
        conversation.enqueue(turn)
        self._scheduler.advance(conversation)
        return turn

    def _select_events(self, conversation_id: ConversationId) -> None:
        conversation = self._table.find(conversation_id)
        if conversation is not None:
            self._turns.select_events(conversation)

    def _turn_ended(self, conversation: Conversation, is_first: bool) -> None:
        for listener in tuple(self.turn_listeners):
            listener(conversation, is_first)


def _refuse(turn: ConversationTurn, why: str) -> None:
    turn.fail(Failure("overloaded", f"Codex runtime error: overloaded: {why}. Try again later."))
