"""The event of a decision that is left to a reviewer instead of the user."""

from typing import Literal

from greenroom.protocol.events.event import Event, Milliseconds, Object


class GuardianAssessment(Event, tag="guardian_assessment"):
    """A reviewer is asked for the consent that the user would give else (`in_progress`), or has decided."""

    since = "March 2026"

    id: str
    turn_id: str
    target_item_id: str | None
    status: Literal["in_progress", "approved", "denied", "timed_out", "aborted"]
    risk_level: Literal["low", "medium", "high", "critical"] | None
    user_authorization: Literal["unknown", "low", "medium", "high"] | None
    rationale: str | None
    action: Object
    """What is to be decided, tagged by `type`: `command`, `apply_patch` or `mcp_tool_call`."""
    started_at_ms: Milliseconds
    completed_at_ms: Milliseconds | None
