"""The notifications that clients get."""

from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

from greenroom.protocol.app_server.commands import CommandExecOutputDelta
from greenroom.protocol.app_server.files import FsChanged
from greenroom.protocol.app_server.item import ThreadItem
from greenroom.protocol.app_server.thread import Thread, ThreadStatus, Turn, TurnError
from greenroom.protocol.app_server.wire import Result, ServerNotification
from greenroom.protocol.goal import ThreadGoal

StepStatus: TypeAlias = Literal["pending", "inProgress", "completed"]
ReviewStatus: TypeAlias = Literal["inProgress", "approved", "denied", "timedOut", "aborted"]
ServerState: TypeAlias = Literal["starting", "ready", "failed", "cancelled"]


class ThreadNotification(ServerNotification, frozen=True):
    """Base of notifications about a thread."""

    thread_id: str


class TurnNotification(ThreadNotification, frozen=True):
    """Base of notifications about a turn."""

    turn_id: str


class ItemNotification(TurnNotification, frozen=True):
    """Base of notifications about an item."""

    item_id: str


class ThreadStarted(ServerNotification, frozen=True):
    """A thread was started, or forked."""

    method: ClassVar[str] = "thread/started"

    thread: Thread


class ThreadStatusChanged(ThreadNotification, frozen=True):
    """A turn begins or ends, or waits for the user."""

    method: ClassVar[str] = "thread/status/changed"

    status: ThreadStatus


class TurnStarted(ThreadNotification, frozen=True):
    """A turn begins."""

    method: ClassVar[str] = "turn/started"

    turn: Turn


class TurnCompleted(ThreadNotification, frozen=True):
    """A turn has ended, in whichever way."""

    method: ClassVar[str] = "turn/completed"

    turn: Turn


class ItemStarted(TurnNotification, frozen=True):
    """An item begins."""

    method: ClassVar[str] = "item/started"

    item: ThreadItem
    started_at_ms: int


class ItemCompleted(TurnNotification, frozen=True):
    """An item has ended."""

    method: ClassVar[str] = "item/completed"

    item: ThreadItem
    completed_at_ms: int


class AgentMessageDelta(ItemNotification, frozen=True):
    """A piece of a text of the agent has come."""

    method: ClassVar[str] = "item/agentMessage/delta"

    delta: str


class ReasoningSummaryPartAdded(ItemNotification, frozen=True):
    """Another section of a summary of reasoning begins."""

    method: ClassVar[str] = "item/reasoning/summaryPartAdded"

    summary_index: int


class ReasoningSummaryTextDelta(ItemNotification, frozen=True):
    """A piece of a summary of reasoning has come."""

    method: ClassVar[str] = "item/reasoning/summaryTextDelta"

    delta: str
    summary_index: int


class ReasoningTextDelta(ItemNotification, frozen=True):
    """A piece of the reasoning itself has come."""

    method: ClassVar[str] = "item/reasoning/textDelta"

    delta: str
    content_index: int


class CommandOutputDelta(ItemNotification, frozen=True):
    """A command has written something."""

    method: ClassVar[str] = "item/commandExecution/outputDelta"

    delta: str


class TerminalInteraction(ItemNotification, frozen=True):
    """The model writes to a running command, or reads on where `stdin` is empty."""

    method: ClassVar[str] = "item/commandExecution/terminalInteraction"

    process_id: str
    stdin: str


class PlanStep(Result, frozen=True):
    """One step of a plan."""

    step: str
    status: StepStatus


class TurnPlanUpdated(TurnNotification, frozen=True):
    """The model has a plan, or another one."""

    method: ClassVar[str] = "turn/plan/updated"

    plan: list[PlanStep]
    explanation: str | None = None


class TurnDiffUpdated(TurnNotification, frozen=True):
    """A patch was applied: what all patches of the turn have changed so far."""

    method: ClassVar[str] = "turn/diff/updated"

    diff: str


class TokenUsageBreakdown(Result, frozen=True):
    """Tokens of one response, or of several."""

    total_tokens: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_output_tokens: int
    cache_write_input_tokens: int = 0


class ThreadTokenUsage(Result, frozen=True):
    """Tokens of a thread, and of its last response."""

    total: TokenUsageBreakdown
    last: TokenUsageBreakdown
    model_context_window: int | None = None


class ThreadTokenUsageUpdated(TurnNotification, frozen=True):
    """A response of the model is complete."""

    method: ClassVar[str] = "thread/tokenUsage/updated"

    token_usage: ThreadTokenUsage


class AccountRateLimitsUpdated(ServerNotification, frozen=True):
    """The model's server has told the account's limits."""

    method: ClassVar[str] = "account/rateLimits/updated"

    rate_limits: dict[str, Any]


class Review(Result, frozen=True):
    """What a reviewer has decided so far."""

    status: ReviewStatus
    risk_level: str | None = None
    user_authorization: str | None = None
    rationale: str | None = None


class ReviewStarted(TurnNotification, frozen=True, kw_only=True):
    """A reviewer is asked for the consent that the user would give else."""

    method: ClassVar[str] = "item/autoApprovalReview/started"

    review_id: str
    action: dict[str, Any]
    review: Review
    started_at_ms: int
    target_item_id: str | None = None


class ReviewCompleted(TurnNotification, frozen=True, kw_only=True):
    """A reviewer has decided."""

    method: ClassVar[str] = "item/autoApprovalReview/completed"

    review_id: str
    action: dict[str, Any]
    review: Review
    started_at_ms: int
    completed_at_ms: int
    decision_source: Literal["agent"]
    target_item_id: str | None = None


class ErrorOccurred(TurnNotification, frozen=True):
    """The turn fails, or its request to the model is repeated."""

    method: ClassVar[str] = "error"

    error: TurnError
    will_retry: bool


class WarningGiven(ServerNotification, frozen=True):
    """Something that the user should know."""

    method: ClassVar[str] = "warning"

    message: str
    thread_id: str | None = None


class ThreadCompacted(TurnNotification, frozen=True):
    """The history was replaced by a summary."""

    method: ClassVar[str] = "thread/compacted"


class McpServerStatusUpdated(ServerNotification, frozen=True):
    """An MCP server of a thread is starting, ready, failed or cancelled."""

    method: ClassVar[str] = "mcpServer/startupStatus/updated"

    name: str
    status: ServerState
    error: str | None = None
    thread_id: str | None = None


class ThreadNameUpdated(ThreadNotification, frozen=True):
    """A thread has another name."""

    method: ClassVar[str] = "thread/name/updated"

    thread_name: str | None = None


class ThreadArchived(ThreadNotification, frozen=True):
    """A thread was archived."""

    method: ClassVar[str] = "thread/archived"


class ThreadUnarchived(ThreadNotification, frozen=True):
    """A thread is listed again."""

    method: ClassVar[str] = "thread/unarchived"


class ThreadDeleted(ThreadNotification, frozen=True):
    """A thread was deleted."""

    method: ClassVar[str] = "thread/deleted"


class ThreadReverted(ThreadNotification, frozen=True):
    """Turns of a thread were taken back."""

    method: ClassVar[str] = "thread/reverted"


class ThreadGoalUpdated(ThreadNotification, frozen=True):
    """A thread has a goal, or another one, or the goal has used more or has another status."""

    method: ClassVar[str] = "thread/goal/updated"

    turn_id: str | None
    """The turn in which that happened; `null` between turns."""
    goal: ThreadGoal


class ThreadGoalCleared(ThreadNotification, frozen=True):
    """A thread has no goal any more."""

    method: ClassVar[str] = "thread/goal/cleared"


class ThreadClosed(ThreadNotification, frozen=True):
    """A thread is not in use any more."""

    method: ClassVar[str] = "thread/closed"


class ServerRequestResolved(ThreadNotification, frozen=True):
    """A question to the client was answered, or is void."""

    method: ClassVar[str] = "serverRequest/resolved"

    request_id: int | str


class AccountUpdated(ServerNotification, frozen=True):
    """Another credential is in force."""

    method: ClassVar[str] = "account/updated"

    auth_mode: str | None
    plan_type: str | None


class AccountLoginCompleted(ServerNotification, frozen=True):
    """A login has ended."""

    method: ClassVar[str] = "account/login/completed"

    success: bool
    login_id: str | None = None
    error: str | None = None


class McpServerOauthLoginCompleted(ServerNotification, frozen=True):
    """A login of an MCP server has ended; told to the client that has begun it."""

    method: ClassVar[str] = "mcpServer/oauthLogin/completed"

    name: str
    success: bool
    login_id: str
    thread_id: str | None = None
    error: str | None = None


class SkillsChanged(ServerNotification, frozen=True):
    """The client has set other folders of skills."""

    method: ClassVar[str] = "skills/changed"


AnyNotification: TypeAlias = (
    ThreadStarted
    | ThreadStatusChanged
    | ThreadNameUpdated
    | ThreadArchived
    | ThreadUnarchived
    | ThreadDeleted
    | ThreadReverted
    | ThreadGoalUpdated
    | ThreadGoalCleared
    | ThreadClosed
    | TurnStarted
    | ItemStarted
    | AgentMessageDelta
    | ReasoningSummaryPartAdded
    | ReasoningSummaryTextDelta
    | ReasoningTextDelta
    | CommandOutputDelta
    | TerminalInteraction
    | ReviewStarted
    | ReviewCompleted
    | ItemCompleted
    | TurnPlanUpdated
    | TurnDiffUpdated
    | ThreadTokenUsageUpdated
    | AccountRateLimitsUpdated
    | ThreadCompacted
    | McpServerStatusUpdated
    | CommandExecOutputDelta
    | FsChanged
    | WarningGiven
    | ErrorOccurred
    | ServerRequestResolved
    | TurnCompleted
    | AccountLoginCompleted
    | AccountUpdated
    | McpServerOauthLoginCompleted
    | SkillsChanged
)

NOTIFICATIONS: Final[dict[str, type[ServerNotification]]] = {kind.method: kind for kind in get_args(AnyNotification)}
"""By method."""
