"""The goal of a conversation, as session files, events and clients have it."""

from typing import Literal, TypeAlias

import msgspec

GoalStatus: TypeAlias = Literal["active", "paused", "blocked", "usageLimited", "budgetLimited", "complete"]


class ThreadGoal(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a conversation is to reach over several turns, and what that has taken so far."""

    thread_id: str
    objective: str
    status: GoalStatus
    token_budget: int | None = None
    """Tokens that it may take; `None` for any number."""
    tokens_used: int = 0
    """Input that was not cached, and output, of the turns in which it was active."""
    time_used_seconds: int = 0
    """Seconds of these turns."""
    created_at: int
    """Seconds since the epoch, as the following one."""
    updated_at: int
