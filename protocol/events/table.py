"""Every event that a conversation sends to its clients."""

from typing import Final, TypeAlias, get_args

from greenroom.protocol.events.command import (
    ExecApprovalRequest,
    ExecCommandBegin,
    ExecCommandEnd,
    ExecCommandOutputDelta,
    TerminalInteraction,
)
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.goal import ThreadGoalUpdated
from greenroom.protocol.events.item import ItemCompleted, ItemStarted, RawResponseCompleted, RawResponseItem
from greenroom.protocol.events.mcp import (
    ElicitationRequest,
    McpStartupComplete,
    McpStartupUpdate,
    McpToolCallBegin,
    McpToolCallEnd,
)
from greenroom.protocol.events.patch import ApplyPatchApprovalRequest, PatchApplyBegin, PatchApplyEnd, TurnDiff
from greenroom.protocol.events.review import GuardianAssessment
from greenroom.protocol.events.text import (
    AgentMessage,
    AgentMessageContentDelta,
    AgentMessageDelta,
    AgentReasoning,
    AgentReasoningDelta,
    AgentReasoningRawContent,
    AgentReasoningRawContentDelta,
    AgentReasoningSectionBreak,
    ReasoningContentDelta,
    ReasoningRawContentDelta,
    UserMessage,
)
from greenroom.protocol.events.tool import PlanUpdate, ViewImageToolCall, WebSearchBegin, WebSearchEnd
from greenroom.protocol.events.turn import (
    BackgroundEvent,
    ContextCompacted,
    ErrorEvent,
    SessionConfigured,
    StreamError,
    TaskComplete,
    TaskStarted,
    TokenCount,
    TurnAborted,
    WarningEvent,
)

AnyEvent: TypeAlias = (
    SessionConfigured
    | McpStartupUpdate
    | McpStartupComplete
    | TaskStarted
    | UserMessage
    | AgentReasoningSectionBreak
    | AgentReasoningDelta
    | ReasoningContentDelta
    | AgentReasoning
    | AgentReasoningRawContentDelta
    | ReasoningRawContentDelta
    | AgentReasoningRawContent
    | AgentMessageDelta
    | AgentMessageContentDelta
    | AgentMessage
    | WebSearchBegin
    | WebSearchEnd
    | ExecApprovalRequest
    | ApplyPatchApprovalRequest
    | ElicitationRequest
    | GuardianAssessment
    | ExecCommandBegin
    | ExecCommandOutputDelta
    | TerminalInteraction
    | ExecCommandEnd
    | PatchApplyBegin
    | PatchApplyEnd
    | TurnDiff
    | PlanUpdate
    | ViewImageToolCall
    | McpToolCallBegin
    | McpToolCallEnd
    | TokenCount
    | ItemStarted
    | ItemCompleted
    | RawResponseItem
    | RawResponseCompleted
    | ThreadGoalUpdated
    | ContextCompacted
    | BackgroundEvent
    | WarningEvent
    | StreamError
    | ErrorEvent
    | TaskComplete
    | TurnAborted
)
"""In the order of a turn."""

EVENTS: Final[dict[str, type[Event]]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyEvent)}
"""By type."""
