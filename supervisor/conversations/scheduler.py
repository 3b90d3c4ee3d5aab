"""Moves a conversation on: to a slot, a process, its turns one by one, rest, and its end."""

import asyncio
from collections.abc import Callable

from greenroom.config.defaults import Limits
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.protocol.internal.worker.operations import Open
from greenroom.protocol.jsonrpc import encode
from greenroom.supervisor.conversations.assignments import WorkerAssignments, Workers
from greenroom.supervisor.conversations.claims import ConversationClaims, Unshared
from greenroom.supervisor.conversations.crash_policy import LACKS_DIRECTORY, CrashHandler, StateAtExit
from greenroom.supervisor.conversations.slots import Slots
from greenroom.supervisor.conversations.state import lifecycle
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.known_conversations import ConversationTable
from greenroom.supervisor.conversations.state.wishes import opening_of, wish_of
from greenroom.supervisor.conversations.turns import OnTurnEnd, Turns, turn_address
from greenroom.supervisor.conversations.watchdog import HangWatchdog
from greenroom.supervisor.processes.exits import ExitHistory
from greenroom.supervisor.processes.worker_router import WorkerRouter


class ConversationScheduler:
    """Joins slots, workers and turns, and continues a conversation whenever one of them is done."""

    def __init__(
        self,
        router: WorkerRouter,
        workers: Workers,
        exit_history: ExitHistory,
        limits: Limits,
        cli_overrides: tuple[str, ...],
        on_turn_end: OnTurnEnd,
    ) -> None:
        self._workers = workers
        self._start_timeout = limits.start_timeout
        self._cli_overrides = encode(cli_overrides)
        self.table = ConversationTable(limits.known_at_rest)
        self.assignments = WorkerAssignments(router, workers)
        self.turns = Turns(self.assignments, on_turn_end, self._go_on)
        self.slots = Slots(self.assignments, workers, limits, self._begin, self._waited_too_long)
        self._crash_handler = CrashHandler(exit_history, on_turn_end)
        self.claims: ConversationClaims = Unshared()
        """Which conversations may have a process here, while another host replaces this one or is replaced by it."""
        self._watch = HangWatchdog(self.assignments, self.turns.running, limits)
        self._loop = asyncio.get_running_loop()

    def advance(self, conversation: Conversation) -> None:
        """Run the next turn if none runs; acquire a process for the conversation first where it has none."""
        if conversation.running is not None:
            return
        if not conversation.queued:
            self.let_rest(conversation)
        elif conversation.state in lifecycle.WAITING_FOR_SLOT:
            if conversation.state == "failed" and not conversation.has_recovered(self._loop.time()):
                self._crash_handler.give_up(conversation)
                self.let_rest(conversation)
            elif self.claims.may_start(conversation.id):
                self.slots.acquire(conversation)
        elif conversation.state == "idle" and not self.assignments.is_being_killed(conversation):
            self._start_turn(conversation)

    def let_rest(self, conversation: Conversation) -> None:
        """Note that a conversation needs nothing at the moment, if it has no process either."""
        if conversation.state in lifecycle.WAITING_FOR_SLOT:
            self.table.mark_idle(conversation, self._loop.time(), conversation.has_file)
            self._claim_ended(conversation)

    def kill(self, worker_id: WorkerId, why: str) -> bool:
        """Kill a worker that hosts a conversation, and return whether it does; its end is reported as any other."""
        conversation = self.assignments.conversation_of(worker_id)
        if conversation is None:
            return False
        self.slots.mark_busy(conversation)
        self.assignments.kill(conversation, why)
        return True

    def lost(self, exited: Exited, reason: str | None) -> None:
        """Handle the end of a process, and its reason if known; the turn that it ran ends with it."""
        conversation = self.assignments.lost(exited.id)
        if conversation is None:
            return
        moment = StateAtExit.of(conversation)
        self.release_slot(conversation)
        self._crash_handler.take(conversation, exited, reason, moment)
        self._claim_ended(conversation)
        self.advance(conversation)
        self.slots.fill()

    def go_elsewhere(self, conversation: Conversation, why: str) -> bool:
        """Open a conversation on another machine whose node lacks its directory; return whether one may have it."""
        node = conversation.node
        if not node:
            return False
        conversation.lacking |= {node}
        if not self._workers.can_go_elsewhere(wish_of(conversation)):
            return False
        if conversation.running is not None:
            conversation.running.audience.progress(why)
        self.assignments.kill(conversation, LACKS_DIRECTORY)
        return True

    def close(self, conversation: Conversation, failure: Failure, on_gone: Callable[[], None] = lambda: None) -> None:
        """End a conversation for good: its turns fail, its worker exits, and `on_gone` is called once it has."""

        def gone() -> None:
            self._claim_ended(conversation)
            on_gone()

        worker_id = conversation.worker_id
        turns = conversation.take_all_turns()
        self.retire(conversation)
        self.table.remove(conversation)
        for turn in turns:
            conversation.fail(turn, failure)
        if worker_id is None:
            gone()
        else:
            self.assignments.ask_to_leave(worker_id, gone)
        self.slots.fill()

    def retire(self, conversation: Conversation) -> None:
        """Unassign the worker of a conversation for good; the caller has to end its turns."""
        if conversation.state in lifecycle.WITH_PROCESS:
            self.release_slot(conversation)
        if conversation.state != "closed":
            conversation.happen("closed")

    def release_slot(self, conversation: Conversation) -> None:
        """Release the slot and the worker of a conversation, which is gone or will not come."""
        self.turns.drop(conversation)
        self.slots.release_slot(conversation)

    def fail_waiting(self, conversation: Conversation, failure: Failure) -> None:
        """Fail the turns of a conversation that waits for a worker, and cancel its order."""
        turns = conversation.take_all_turns()
        self.release_slot(conversation)
        conversation.happen("died")
        for turn in turns:
            conversation.fail(turn, failure)
        self.let_rest(conversation)

    def _waited_too_long(self, conversation: Conversation) -> None:
        if conversation.state != "starting" or conversation.worker_id is not None:
            return
        wish = wish_of(conversation)
        if (refusal := self._workers.refusal(wish)) is not None:
            why, text = refusal, f"Failed to start Codex session: {refusal}"
        else:
            why = self._workers.lacking(wish) or self._workers.obstacle or "none has got ready"
            text = f"Failed to start Codex session: there is no process for it after {self._start_timeout:g} s ({why})"
        self.fail_waiting(conversation, Failure("start_failed", text, {"cause": why, "resumable": True}))
        self.slots.fill()

    def stop(self) -> None:
        """Stop watching and parking."""
        self._watch.close()
        self.slots.close()

    def _begin(self, conversation: Conversation) -> None:
        """Make the worker that was assigned to a conversation open it."""
        operation = Open(
            **turn_address(conversation),
            resume=conversation.resume,
            path=conversation.path,
            keep=conversation.keep,
            ephemeral=conversation.ephemeral,
            user_agent=conversation.user_agent,
        )
        settings = self._opening_settings(conversation)
        self.assignments.send(conversation, operation, settings)
        if conversation.resume == "no":
            conversation.resume = "if-saved"
        self._start_turn(conversation)  # without waiting for `Opened`: the worker handles both in order

    def _opening_settings(self, conversation: Conversation) -> bytes:
        """Return the payload of `Open`; a worker of a node is told of the home with it."""
        common = b'"cli":%b,"call":%b' % (self._cli_overrides, conversation.overrides)
        if not conversation.node or conversation.worker_id is None:
            return b"{%b}" % common
        home = self._workers.opening(
            conversation.worker_id, conversation.id, conversation.incarnation, opening_of(conversation)
        )
        return b"{%b}" % common if home is None else b'{%b,"home":%b}' % (common, home)

    def _start_turn(self, conversation: Conversation) -> None:
        self.slots.mark_busy(conversation)
        self.turns.start_next(conversation)
        self._watch.begin()

    def reload(self, conversation: Conversation) -> None:
        """Apply the present settings to a conversation: its process ends as soon as it is idle.

        Where that would lose something, as with running commands or with what is not saved, it goes on as it is.
        """
        if conversation.state in lifecycle.WITH_PROCESS and not conversation.ephemeral:
            conversation.is_stale = True
            self.settle(conversation)

    def settle(self, conversation: Conversation) -> None:
        """Run the next turn of a conversation, or note that it is idle, unless something still goes on in it."""
        if (
            conversation.state != "idle"
            or conversation.running is not None
            or self.assignments.is_being_killed(conversation)
        ):
            return
        is_free = not (conversation.requests or conversation.open_commands or conversation.holds_unsaved)
        if conversation.is_stale and is_free:
            self.slots.park(conversation)
        elif conversation.queued and not conversation.is_wanted_elsewhere:
            self.advance(conversation)
        elif not conversation.requests:
            self.slots.mark_idle(conversation)

    def _go_on(self, conversation: Conversation) -> None:
        self._watch.weigh(conversation)
        self.settle(conversation)

    def _claim_ended(self, conversation: Conversation) -> None:
        conversation.is_wanted_elsewhere = False
        self.claims.ended(conversation.id)
