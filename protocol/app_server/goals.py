"""Params and results of the methods about goals."""

from typing import Literal

from msgspec import UNSET, UnsetType

from greenroom.protocol.app_server.wire import Result, ThreadParams
from greenroom.protocol.goal import GoalStatus, ThreadGoal


class ThreadGoalSetParams(ThreadParams, frozen=True, kw_only=True):
    """Params of `thread/goal/set`. Members that are left out stay as they are."""

    objective: str | None = None
    status: GoalStatus | None = None
    token_budget: int | UnsetType | None = UNSET
    """`null`: any number of tokens."""
    origin: Literal["user", "automatic"] | None = None


class ThreadGoalClearParams(ThreadParams, frozen=True, kw_only=True):
    """Params of `thread/goal/clear`."""

    origin: Literal["user", "automatic"] | None = None


class ThreadGoalSetResponse(Result, frozen=True):
    """Result of `thread/goal/set`."""

    goal: ThreadGoal


class ThreadGoalGetResponse(Result, frozen=True):
    """Result of `thread/goal/get`."""

    goal: ThreadGoal | None


class ThreadGoalClearResponse(Result, frozen=True):
    """Result of `thread/goal/clear`."""

    cleared: bool
    """Whether there was one."""
