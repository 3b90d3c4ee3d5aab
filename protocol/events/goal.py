"""The event of a conversation's goal."""

from greenroom.protocol.events.event import Event
from greenroom.protocol.goal import ThreadGoal


class ThreadGoalUpdated(Event, tag="thread_goal_updated", rename="camel"):
    """The conversation has a goal, another one, or none any more (`null`); or it has used more for it."""

    since = "2026"

    thread_id: str
    turn_id: str | None
    """The turn in which that happened; `null` between turns."""
    goal: ThreadGoal | None
