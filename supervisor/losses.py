"""What the death of a worker means for its conversation: the turn is answered, the death remembered, others go on."""

import asyncio
import logging

from protocol.birth import Exited
from protocol.mcp import Failure
from supervisor import death
from supervisor.conversation import Conversation, Pulse
from supervisor.death import Obituaries
from supervisor.hosts import UNREACHABLE
from supervisor.lifecycle import State
from supervisor.turn import Turn, aborted
from supervisor.turns import OnTurnEnd

log = logging.getLogger(__name__)


class Losses:
    """Takes each death to its conversation, once that has been taken from its dead worker."""

    def __init__(self, obituaries: Obituaries, on_turn_end: OnTurnEnd) -> None:
        self._obituaries = obituaries
        self._on_turn_end = on_turn_end
        self._loop = asyncio.get_running_loop()

    def take(
        self, conversation: Conversation, exited: Exited, reason: str | None, state: State, pulse: Pulse | None
    ) -> None:
        """Take a death in. `state` and `pulse` are those before it, `reason` why we killed the worker if we did."""
        conversation.happen("died")
        conversation.put_in_front(conversation.take_steering())
        if state == "starting" and reason in (None, UNREACHABLE) and conversation.may_start_again():
            if (withdrawn := conversation.put_back()) is not None:
                conversation.fail(withdrawn, aborted("interrupted"))
        elif state != "parking":
            self._mourn(conversation, exited, reason, state, pulse)

    def give_up(self, conversation: Conversation) -> None:
        """Fail all turns of a conversation whose processes have died too often."""
        last = self._obituaries.of(conversation.id)
        message = (
            f"Codex runtime error: the process of conversation {conversation.id} died too often in a short time"
            f"{'' if last is None else f', the last time by {last.cause}'}. Try again in a minute."
        )
        conversation.fail_all(Failure("worker_crashed", message, {"resumable": True, "failed": True}))

    def _mourn(
        self, conversation: Conversation, exited: Exited, reason: str | None, state: State, pulse: Pulse | None
    ) -> None:
        turn, conversation.running = conversation.running, None
        why = reason or death.cause(exited)
        if turn is not None:
            is_first = conversation.is_unsaved
            conversation.rested_at = self._loop.time()
            conversation.fail(turn, (_start_failure if state == "starting" else _crash_failure)(exited, turn, why))
            self._on_turn_end(conversation, is_first)
        doing = "idle" if pulse is None else pulse.doing
        about = {"conversation_id": conversation.id, "worker_id": exited.id}
        log.error(
            "conversation %s: its worker %d died (%s) while %s", conversation.id, exited.pid, why, doing, extra=about
        )
        self._obituaries.enter(exited, doing, reason, conversation.id, conversation.incarnation)
        if conversation.on_death(self._loop.time()):
            conversation.happen("died_too_often")


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
