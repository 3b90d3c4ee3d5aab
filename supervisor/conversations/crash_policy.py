"""What the death of a worker means for its conversation: its turn fails, the death is recorded, other turns go on."""

import asyncio
import logging

import msgspec

from greenroom.protocol.failure import Failure
from greenroom.protocol.internal.process import Exited
from greenroom.supervisor.conversations.assignments import UNREACHABLE
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.lifecycle import LifecycleState
from greenroom.supervisor.conversations.state.turn import ConversationTurn, aborted
from greenroom.supervisor.conversations.turns import OnTurnEnd
from greenroom.supervisor.processes import exits as death
from greenroom.supervisor.processes.exits import ExitHistory
from greenroom.supervisor.processes.nodes.wish import NODE_LOST

log = logging.getLogger(__name__)

LACKS_DIRECTORY = "its node lacks the directory of the conversation"
"""Why a worker is killed whose conversation goes on elsewhere."""


class StateAtExit(msgspec.Struct, frozen=True):
    """The state of a conversation when its worker died."""

    state: LifecycleState
    doing: str
    """Text for people."""
    was_beginning: bool
    """Whether the turn had no effect yet: the worker had neither sent nor saved anything of it."""

    @classmethod
    def of(cls, conversation: Conversation) -> "StateAtExit":
        """Return the state of a conversation."""
        state = conversation.state
        doing = "idle" if conversation.pulse is None else conversation.pulse.progress.doing
        return cls(state, doing, state == "starting" or (state == "running" and conversation.has_left_no_trace))


class CrashHandler:
    """Applies each death to its conversation, which has been unassigned from its worker before."""

    def __init__(self, exit_history: ExitHistory, on_turn_end: OnTurnEnd) -> None:
        self._exit_history = exit_history
        self._on_turn_end = on_turn_end
        self._loop = asyncio.get_running_loop()

    def take(self, conversation: Conversation, exited: Exited, reason: str | None, moment: StateAtExit) -> None:
        """Handle a death. `reason` is set where the supervisor killed the worker."""
        conversation.happen("died")
        conversation.put_in_front(conversation.take_steering())
        if moment.state == "parking":
            return
        is_misplaced = reason == LACKS_DIRECTORY
        begins_again = is_misplaced or (
            moment.was_beginning and reason in (None, UNREACHABLE) and conversation.may_start_again()
        )
        if begins_again and (withdrawn := conversation.put_back()) is not None:
            conversation.fail(withdrawn, aborted("interrupted"))
        if not is_misplaced and (not begins_again or moment.state == "running"):
            self._report_crash(conversation, exited, reason, moment)

    def give_up(self, conversation: Conversation) -> None:
        """Fail all turns of a conversation whose processes have died too often."""
        last = self._exit_history.of(conversation.id)
        message = (
            f"Codex runtime error: the process of conversation {conversation.id} died too often in a short time"
            f"{'' if last is None else f', the last time by {last.cause}'}. Try again in a minute."
        )
        conversation.fail_all(Failure("worker_crashed", message, {"resumable": True, "failed": True}))

    def _report_crash(
        self, conversation: Conversation, exited: Exited, reason: str | None, moment: StateAtExit
    ) -> None:
        turn, conversation.running = conversation.running, None
        why = reason or death.cause(exited)
        if turn is not None:
            is_first = conversation.is_unsaved
            conversation.rested_at = self._loop.time()
            never_ran = moment.state == "starting" and why != NODE_LOST
            conversation.fail(turn, (_start_failure if never_ran else _crash_failure)(exited, turn, why))
            self._on_turn_end(conversation, is_first)
        about = {"conversation_id": conversation.id, "worker_id": exited.id}
        log.error(
            "conversation %s: its worker %d died (%s) while %s",
            conversation.id,
            exited.pid,
            why,
            moment.doing,
            extra=about,
        )
        self._exit_history.enter(exited, moment.doing, reason, conversation.id, conversation.incarnation)
        if conversation.on_death(self._loop.time()):
            conversation.happen("died_too_often")


def _crash_failure(exited: Exited, turn: ConversationTurn, why: str) -> Failure:
    if turn.interrupted:
        return aborted("interrupted")
    message = (
        f"Codex runtime error: the process of conversation {turn.conversation_id} died ({_where(exited, why)}). "
        "What it was doing may or may not have taken effect; codex-reply with this id goes on from where it was saved."
    )
    return Failure("worker_crashed", message, {**death.exit_facts(exited), "cause": why, "resumable": True})


def _where(exited: Exited, why: str) -> str:
    return f"{why}, on node {exited.node}" if exited.node else why


def _start_failure(exited: Exited, turn: ConversationTurn, why: str) -> Failure:
    if turn.interrupted:
        return aborted("interrupted")
    message = f"Failed to start Codex session: its process died ({why})"
    return Failure("start_failed", message, {**death.exit_facts(exited), "cause": why, "resumable": True})
