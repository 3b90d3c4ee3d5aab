"""The definitions of the tools for the goal of a conversation, as in requests to the model."""

from collections.abc import Sequence
from typing import Final

from greenroom.protocol.items import JsonObject

GOAL_TOOLS: Final[Sequence[JsonObject]] = (
    {
        "type": "function",
        "name": "get_goal",
        "description": "Read the goal of this conversation: its objective, its status, and what it has used of its "
        "budget.",
        "strict": False,
        "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    },
    {
        "type": "function",
        "name": "update_goal",
        "description": "Say what has become of the goal of this conversation. `complete`: all that it asks for was "
        "reached and checked. `blocked`: the same obstacle has stopped you in three turns in a row, and only the user "
        "or a change elsewhere can remove it. `paused`: the user has asked for a pause. Only the user can resume it.",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {"status": {"type": "string", "enum": ["complete", "blocked", "paused"]}},
            "required": ["status"],
            "additionalProperties": False,
        },
    },
)
