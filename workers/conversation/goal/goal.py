"""The goal of a conversation: how it is set, what it may take, and what becomes of it. Free of I/O.

Its rules, whether the model, a client or the program changes it:

* a goal whose budget is used up is neither active nor paused but `budgetLimited`;
* only turns in which it is active count, and what was counted is never taken back;
* a turn that fails blocks it, so that nothing is repeated without end; one that was stopped leaves it as it is.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from greenroom.protocol.errors import ErrorKind, GreenroomError
from greenroom.protocol.goal import GoalStatus, ThreadGoal
from greenroom.protocol.ids import ConversationId
from greenroom.workers.model.responses import ResponseUsage

LONGEST: Final = 4000
"""Maximum characters of an objective."""
IDLE_TURNS: Final = 3
"""Turns in a row in which the model says and does nothing, after which the goal is blocked."""
_AFTER: Final[Mapping[ErrorKind, GoalStatus]] = {"usage_limit": "usageLimited"}
"""What becomes of an active goal when a turn fails, if that is not `blocked`."""


class GoalError(GreenroomError):
    """A goal cannot be what a client wants it to be."""


class GoalChange(NamedTuple):
    """What is to be changed of a goal. Members that are `None` or `UNSET` stay as they are."""

    objective: str | None = None
    status: GoalStatus | None = None
    token_budget: int | msgspec.UnsetType | None = msgspec.UNSET


class Goal:
    """The goal of one conversation, or that it has none. Times are in seconds since the epoch."""

    def __init__(self, conversation_id: ConversationId, present: ThreadGoal | None = None) -> None:
        """`present`: as it was recorded. One of another conversation, whose history was copied, is paused here."""
        self._id = conversation_id
        if present is not None and present.thread_id != conversation_id:
            status: GoalStatus = "paused" if present.status == "active" else present.status
            present = msgspec.structs.replace(present, thread_id=conversation_id, status=status)
        self.present = present
        self._counted_to: float | None = None
        self._idle_turns = 0

    @property
    def is_active(self) -> bool:
        """Whether it is to be pursued."""
        return self.present is not None and self.present.status == "active"

    @property
    def remaining(self) -> int | None:
        """Tokens that it may still take; `None` for any number."""
        goal = self.present
        return None if goal is None or goal.token_budget is None else max(0, goal.token_budget - goal.tokens_used)

    def change(self, change: GoalChange, now: float) -> ThreadGoal:
        """Set or change it, and return it. Raises `GoalError`; then it is as before."""
        objective = None if change.objective is None else change.objective.strip()
        if objective == "":
            raise GoalError("goal objective must not be empty")
        if objective is not None and len(objective) > LONGEST:
            raise GoalError(f"goal objective must be at most {LONGEST} characters")
        if isinstance(change.token_budget, int) and change.token_budget <= 0:
            raise GoalError("goal budgets must be positive when provided")
        self._count_time(now)
        goal = self.present
        if goal is None and objective is None:
            raise GoalError(f"cannot update goal for thread {self._id}: no goal exists")
        if goal is None:
            goal = ThreadGoal(
                thread_id=self._id, objective="", status="active", created_at=int(now), updated_at=int(now)
            )
        budget = goal.token_budget if isinstance(change.token_budget, msgspec.UnsetType) else change.token_budget
        self._idle_turns = 0
        return self._put(
            msgspec.structs.replace(
                goal,
                objective=objective or goal.objective,
                status=change.status or goal.status,
                token_budget=budget,
            ),
            now,
        )

    def clear(self) -> bool:
        """Remove it, and return whether there was one."""
        was_there, self.present = self.present is not None, None
        return was_there

    def begin_turn(self, now: float) -> None:
        """Count time from now on."""
        self._counted_to = now

    def count(self, usage: ResponseUsage, now: float) -> bool:
        """Count a response of the model; return whether anything has changed."""
        goal = self.present
        if goal is None or goal.status not in ("active", "budgetLimited"):
            self._count_time(now)
            return False
        self._count_time(now)
        assert self.present is not None
        used = self.present.tokens_used + usage.input_tokens - usage.cached_input_tokens + usage.output_tokens
        self._put(msgspec.structs.replace(self.present, tokens_used=used), now)
        return True

    def end_turn(self, now: float, *, did_something: bool, pursued: bool) -> bool:
        """Take note of the end of a turn that was not stopped; return whether the goal has changed.

        `pursued`: the turn was one of the goal's own.
        """
        self._count_time(now)
        self._counted_to = None
        if not (pursued and self.is_active):
            return False
        self._idle_turns = 0 if did_something else self._idle_turns + 1
        if self._idle_turns < IDLE_TURNS:
            return False
        return self._become("blocked", now)

    def fail_turn(self, now: float, kind: ErrorKind | None) -> bool:
        """Take note of a turn that has failed; return whether the goal has changed."""
        self._count_time(now)
        self._counted_to = None
        return self.is_active and self._become(_AFTER.get(kind or "internal", "blocked"), now)

    def stop_turn(self, now: float) -> None:
        """Take note of a turn that was stopped."""
        self._count_time(now)
        self._counted_to = None

    def _become(self, status: GoalStatus, now: float) -> bool:
        assert self.present is not None
        self._put(msgspec.structs.replace(self.present, status=status), now)
        return True

    def _put(self, goal: ThreadGoal, now: float) -> ThreadGoal:
        is_used_up = goal.token_budget is not None and goal.tokens_used >= goal.token_budget
        status: GoalStatus = "budgetLimited" if is_used_up and goal.status in ("active", "paused") else goal.status
        self.present = msgspec.structs.replace(goal, status=status, updated_at=int(now))
        return self.present

    def _count_time(self, now: float) -> None:
        """Count the time since the last look at it, if a turn runs in which the goal is active."""
        if self._counted_to is None or now < self._counted_to:
            return
        whole = int(now - self._counted_to)
        if self.present is None or not self.is_active:
            self._counted_to = now
        elif whole:
            self._counted_to += whole  # the rest counts the next time
            used = self.present.time_used_seconds + whole
            self.present = msgspec.structs.replace(self.present, time_used_seconds=used)
