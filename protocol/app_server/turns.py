"""Params and results of the methods about turns."""

from typing import Any

from greenroom.protocol.app_server.item import UserInputPart
from greenroom.protocol.app_server.thread import ApprovalsReviewer, ThreadSandboxPolicy, Turn
from greenroom.protocol.app_server.wire import Result, ThreadParams


class TurnStartParams(ThreadParams, frozen=True):
    """Params of `turn/start`. Settings are for this turn and those that follow."""

    input: list[UserInputPart]
    client_user_message_id: str | None = None
    cwd: str | None = None
    approval_policy: str | dict[str, Any] | None = None
    approvals_reviewer: ApprovalsReviewer | None = None
    sandbox_policy: ThreadSandboxPolicy | None = None
    permissions: str | None = None
    """A permission profile, in place of `sandboxPolicy`."""
    model: str | None = None
    effort: str | None = None
    summary: str | None = None
    personality: str | None = None
    output_schema: dict[str, Any] | None = None
    """JSON Schema of the agent's last message, for this turn alone."""
    service_tier: str | None = None
    service_tier_for_turn: str | None = None
    turn_trigger: str | None = None
    tool_output: dict[str, Any] | None = None


class TurnStartResponse(Result, frozen=True):
    """Result of `turn/start`, at once."""

    turn: Turn


class TurnSteerParams(ThreadParams, frozen=True):
    """Params of `turn/steer`."""

    expected_turn_id: str
    input: list[UserInputPart]
    client_user_message_id: str | None = None


class TurnSteerResponse(Result, frozen=True):
    """Result of `turn/steer`: the turn that has taken the input."""

    turn_id: str


class TurnInterruptParams(ThreadParams, frozen=True):
    """Params of `turn/interrupt`."""

    turn_id: str
