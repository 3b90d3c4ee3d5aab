"""What front ends tell of a conversation: the steps of its turns, apart from the form in which a client gets them.

Times in seconds and in milliseconds are since the epoch.
"""

from typing import Literal, TypeAlias

import msgspec

from greenroom.protocol.events.mcp import ServerFailure
from greenroom.protocol.events.review import GuardianAssessment
from greenroom.protocol.events.thread_item import AnyItem
from greenroom.protocol.events.tool import PlanStep
from greenroom.protocol.events.turn import ErrorInfo, TokenInfo
from greenroom.protocol.goal import ThreadGoal
from greenroom.protocol.items import JsonObject

EndedTurnStatus: TypeAlias = Literal["completed", "interrupted", "failed"]


class Fault(msgspec.Struct, frozen=True):
    """Why a turn failed."""

    message: str
    info: ErrorInfo = None
    """The kind of failure, for programs, as the event `error` names it."""


class TurnBegan(msgspec.Struct, frozen=True):
    """A turn begins."""

    started_at: int | None
    """In seconds."""


class TurnFinished(msgspec.Struct, frozen=True, kw_only=True):
    """A turn has ended. All of its items have ended before."""

    status: EndedTurnStatus
    fault: Fault | None = None
    """Set where it failed."""
    started_at: int | None
    """In seconds; `None` where it never began."""
    completed_at: int
    """In seconds."""
    duration_ms: int | None
    last_message: str | None = None


class ItemBegan(msgspec.Struct, frozen=True):
    """An item begins."""

    item: AnyItem
    at_ms: int


class ItemEnded(msgspec.Struct, frozen=True):
    """An item has ended; it began before."""

    item: AnyItem
    at_ms: int


class TextGrew(msgspec.Struct, frozen=True):
    """A piece of a text of the agent has come."""

    item_id: str
    piece: str


class SummarySectionBegan(msgspec.Struct, frozen=True):
    """Another section of a summary of reasoning begins, the first one included."""

    item_id: str
    section: int
    """From 0."""


class SummaryGrew(msgspec.Struct, frozen=True):
    """A piece of a summary of reasoning has come."""

    item_id: str
    piece: str
    section: int


class ReasoningGrew(msgspec.Struct, frozen=True):
    """A piece of the reasoning itself has come."""

    item_id: str
    piece: str
    part: int


class OutputGrew(msgspec.Struct, frozen=True):
    """A command has written something."""

    item_id: str
    piece: str
    """Text; what is no text is replaced by U+FFFD."""


class TerminalInput(msgspec.Struct, frozen=True):
    """The model writes to a running command, or reads on where the text is empty."""

    item_id: str
    process_id: str
    text: str


class PlanChanged(msgspec.Struct, frozen=True):
    """The model has a plan, or another one."""

    explanation: str | None
    steps: list[PlanStep]


class DiffChanged(msgspec.Struct, frozen=True):
    """What all patches of the turn have changed so far, as a unified diff."""

    diff: str


class TokensCounted(msgspec.Struct, frozen=True):
    """A response of the model is complete."""

    info: TokenInfo | None
    rate_limits: JsonObject | None


class Retried(msgspec.Struct, frozen=True):
    """The model's answer broke off, and the request is repeated."""

    fault: Fault


class Failed(msgspec.Struct, frozen=True):
    """The turn failed; its end follows."""

    fault: Fault


class Warned(msgspec.Struct, frozen=True):
    """Something that the user should know, and that ends nothing."""

    message: str


class Compacted(msgspec.Struct, frozen=True):
    """The history was replaced by a summary."""


class ReviewBegan(msgspec.Struct, frozen=True):
    """A reviewer is asked for the consent that the user would give else."""

    event: GuardianAssessment


class ReviewEnded(msgspec.Struct, frozen=True):
    """A reviewer has decided."""

    event: GuardianAssessment


class GoalChanged(msgspec.Struct, frozen=True):
    """The conversation has a goal, another one or none, or the goal has used more."""

    goal: ThreadGoal | None
    turn_id: str | None


class ServerChanged(msgspec.Struct, frozen=True):
    """An MCP server is starting, ready, failed or cancelled."""

    server: str
    state: str
    error: str | None = None


class ServersFailed(msgspec.Struct, frozen=True):
    """MCP servers that were left out."""

    failures: list[ServerFailure]


Update: TypeAlias = (
    TurnBegan
    | TurnFinished
    | ItemBegan
    | ItemEnded
    | TextGrew
    | SummarySectionBegan
    | SummaryGrew
    | ReasoningGrew
    | OutputGrew
    | TerminalInput
    | PlanChanged
    | DiffChanged
    | TokensCounted
    | Retried
    | Failed
    | Warned
    | Compacted
    | GoalChanged
    | ServerChanged
    | ServersFailed
    | ReviewBegan
    | ReviewEnded
)
