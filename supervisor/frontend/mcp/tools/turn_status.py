"""How a turn goes on or has ended, as the tools about conversations tell it. Free of I/O.

A turn is found where it runs or waits, else among the outcomes that are kept, else in the session file.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from greenroom.protocol.failure import Failure
from greenroom.protocol.items import JsonObject
from greenroom.protocol.mcp.session_tools import TurnState
from greenroom.protocol.spending import spending_json
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.started_turns import FinishedTurn
from greenroom.supervisor.conversations.state.turn import ConversationTurn

if TYPE_CHECKING:
    from greenroom.sessions.records.turn_log import SavedTurn

_UNKNOWN_END: Final = "Its process ended before the turn did. What it had begun may have had effects."


class TurnFailure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a turn has no answer."""

    message: str
    kind: str | None = None


class TurnStatus(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One turn."""

    call_id: str
    state: TurnState
    doing: str | None = None
    content: str | None = None
    """The agent's last message."""
    error: TurnFailure | None = None
    started_at: float | None = None
    """Seconds since the epoch, as `ended_at`."""
    ended_at: float | None = None
    usage: JsonObject | None = None
    """What it has used, where models have prices."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state not in ("waiting", "running")


def live_turn(conversation: Conversation | None, call_id: str) -> TurnStatus | None:
    """Return a turn that runs or waits; the running or else the next one if `call_id` is empty."""
    if conversation is None:
        return None
    turn = _find(conversation, call_id)
    if turn is None:
        return None
    if turn is not conversation.running or conversation.state != "running":
        return TurnStatus(turn.id, "waiting")
    pulse = conversation.pulse
    return TurnStatus(turn.id, "running", doing=None if pulse is None else pulse.progress.doing)


def finished_turn(finished: FinishedTurn) -> TurnStatus:
    """Return a turn whose outcome was kept."""
    content = msgspec.json.decode(finished.last_message, type=str) if finished.last_message else ""
    failure = finished.failure
    usage = None if finished.usage is None else spending_json(finished.usage.turn)
    return TurnStatus(finished.id, finished.end, content=content or None, error=_told(failure), usage=usage)


def saved_turn(turns: "Sequence[SavedTurn]", call_id: str, runs_elsewhere: bool) -> TurnStatus | None:
    """Return a turn of a session file; the last one if `call_id` is empty."""
    found = next((turn for turn in reversed(turns) if call_id in ("", turn.id)), None)
    if found is None:
        return None
    if found.outcome == "open":
        if runs_elsewhere and found is turns[-1]:
            return TurnStatus(found.id, "running", started_at=found.started_at)
        return TurnStatus(found.id, "interrupted", error=TurnFailure(_UNKNOWN_END), started_at=found.started_at)
    return TurnStatus(
        found.id,
        found.outcome,
        content=found.last_message,
        error=None if found.outcome == "completed" else TurnFailure(found.message or found.outcome),
        started_at=found.started_at,
        ended_at=found.ended_at,
    )


def latest(finished: TurnStatus | None, saved: TurnStatus | None) -> TurnStatus | None:
    """Return the one that began later; of the same turn what was kept, with what only the file has. Ids are ordered."""
    if finished is None or saved is None:
        return finished or saved
    if finished.call_id == saved.call_id:
        return msgspec.structs.replace(finished, started_at=saved.started_at, ended_at=saved.ended_at)
    return max(finished, saved, key=lambda turn: turn.call_id)


def turn_in_words(turn: TurnStatus) -> str:
    """Return a line for people, and for models that read only text."""
    match turn.state:
        case "waiting":
            return f"Turn {turn.call_id} waits for its beginning."
        case "running":
            return f"Turn {turn.call_id} is running{f' ({turn.doing})' if turn.doing else ''}."
        case "completed":
            return f"Turn {turn.call_id} is complete."
    return (
        f"Turn {turn.call_id} has ended as {turn.state}: {turn.error.message if turn.error else 'no reason is known'}"
    )


def _find(conversation: Conversation, call_id: str) -> ConversationTurn | None:
    if not call_id:
        return conversation.foremost
    return next((turn for turn in conversation.turns if turn.id == call_id), None)


def _told(failure: Failure | None) -> TurnFailure | None:
    return None if failure is None else TurnFailure(failure.message, failure.kind)
