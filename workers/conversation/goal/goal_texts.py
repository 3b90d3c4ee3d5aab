"""What the model reads of the goal of its conversation, as pure functions."""

from greenroom.config.texts import goal_continuation
from greenroom.protocol.goal import ThreadGoal
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.prompt.prompt import message


def pursuit(goal: ThreadGoal, remaining: int | None) -> JsonObject:
    """Return the message with which a turn of the goal's own begins."""
    return _context(f"{goal_continuation()}\n\n{_usage(goal, remaining)}\n\n{_objective(goal)}")


def reminder(goal: ThreadGoal) -> JsonObject:
    """Return the message that tells of the goal in a turn of the user's."""
    return _context(
        "This conversation has a goal, which is gone on with after the user's message has been dealt with. If that "
        f"message reaches it, call `update_goal` with the status `complete`.\n\n{_objective(goal)}"
    )


def used_up(goal: ThreadGoal) -> JsonObject:
    """Return the message that tells of the end of the budget."""
    return _context(
        f"The budget of the goal, {goal.token_budget} tokens, is used up. Begin nothing more for it: tell the user "
        "what was reached and what is left, and end the turn. Set the status `complete` only if the goal is reached."
    )


def _usage(goal: ThreadGoal, remaining: int | None) -> str:
    if goal.token_budget is None:
        return f"Tokens used so far: {goal.tokens_used}. There is no budget."
    return f"Tokens used so far: {goal.tokens_used} of {goal.token_budget}; {remaining} are left."


def _objective(goal: ThreadGoal) -> str:
    """Return the objective in an envelope of its own, which what it says cannot close."""
    text = goal.objective.replace("</objective", "</ objective")
    return f"<objective>\n{text}\n</objective>"


def _context(text: str) -> JsonObject:
    wrapped = message("user", f'<codex_internal_context source="goal">\n{text}\n</codex_internal_context>')
    assert wrapped is not None
    return wrapped
