"""The tools about conversations: names, arguments and results.

They are for a client that has lost an id, wants to know the state of a conversation, or has to stop something.
"""

from typing import Final

import msgspec

PAGE: Final = 20
"""Default number of conversations that `codex-list` returns."""
MOST_LISTED: Final = 100
PASSAGES: Final = 40
"""Default number of passages that `codex-read` returns."""
MOST_PASSAGES: Final = 1000


class ListArguments(msgspec.Struct, frozen=True):
    """Arguments of `codex-list`."""

    limit: int = PAGE
    cursor: str = ""


class ThreadArguments(msgspec.Struct, frozen=True):
    """Arguments of tools for one conversation."""

    thread_id: str = msgspec.field(name="threadId")


class ReadArguments(ThreadArguments, frozen=True):
    """Arguments of `codex-read`."""

    last: int = PASSAGES


class SteerArguments(ThreadArguments, frozen=True):
    """Arguments of `codex-steer`."""

    prompt: str


class ForkArguments(ThreadArguments, frozen=True):
    """Arguments of `codex-fork`."""

    turn: int | None = None


def _text(description: str) -> dict[str, object]:
    return {"type": "string", "description": description}


def _number(description: str, least: int, most: int | None = None) -> dict[str, object]:
    limits = {"minimum": least} if most is None else {"minimum": least, "maximum": most}
    return {"type": "integer", "description": description, **limits}


_THREAD: Final = {"threadId": _text("The conversation, as `codex-list` names it.")}
_STATE: Final = _text(
    "`running` and `starting`: a turn is under way. `idle`, `parking`, `parked`, `crashed`, `failed`: none is, and "
    "`codex-reply` goes on. `saved`: not used since this server started. `elsewhere`: open in another process."
)
_CONVERSATION: Final[dict[str, dict[str, object]]] = {
    "threadId": _text("Names the conversation."),
    "title": _text("How it began, in a few words."),
    "cwd": _text("Where it works."),
    "model": _text("The model of its last turn."),
    "state": _STATE,
    "ageSeconds": {"type": "number", "description": "Seconds since something was last written to it."},
}


def _tool(
    name: str,
    title: str,
    description: str,
    properties: dict[str, dict[str, object]],
    required: tuple[str, ...],
    output: dict[str, dict[str, object]],
    hints: dict[str, bool],
) -> dict[str, object]:
    return {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": {"type": "object", "required": required, "properties": properties},
        "outputSchema": {"type": "object", "required": tuple(output)[:1], "properties": output},
        "annotations": {"title": title, **hints, "openWorldHint": False},
    }


_LOOKS: Final = {"readOnlyHint": True}
_STOPS: Final = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": True}
_MAKES: Final = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False}

SESSION_TOOLS: Final = (
    _tool(
        "codex-list",
        "List Conversations",
        "List the conversations of `codex`, saved and running, the latest first: id, title, directory, age and state. "
        "Use it to find a threadId again.",
        {
            "limit": _number("How many at most.", 1, MOST_LISTED),
            "cursor": _text("Where to go on: `nextCursor` of an earlier result."),
        },
        (),
        {
            "conversations": {
                "type": "array",
                "items": {"type": "object", "required": ["threadId", "state"], "properties": _CONVERSATION},
            },
            "nextCursor": _text("Present where there are more."),
        },
        _LOOKS,
    ),
    _tool(
        "codex-read",
        "Read Conversation",
        "Return what was said and done in a conversation, its end first of all, with the number of each turn.",
        {**_THREAD, "last": _number("How many passages at most, counted from the end.", 1, MOST_PASSAGES)},
        ("threadId",),
        {
            **_CONVERSATION,
            "turns": {"type": "integer", "description": "How many turns have ended."},
            "leftOut": {"type": "integer", "description": "Passages before those that are told."},
        },
        _LOOKS,
    ),
    _tool(
        "codex-interrupt",
        "Interrupt Conversation",
        "Stop the turn that a conversation runs and those that wait in it. Their calls end as aborted; the "
        "conversation stays and can go on.",
        _THREAD,
        ("threadId",),
        {
            "threadId": _text("The conversation."),
            "interrupted": {"type": "integer", "description": "How many turns were stopped."},
        },
        _STOPS,
    ),
    _tool(
        "codex-close",
        "Close Conversation",
        "Stop what a conversation runs and end its process with everything that it has started. Nothing that was said "
        "is lost: `codex-reply` takes it up again.",
        _THREAD,
        ("threadId",),
        {
            "threadId": _text("The conversation."),
            "interrupted": {"type": "integer", "description": "How many turns were stopped."},
        },
        _STOPS,
    ),
    _tool(
        "codex-steer",
        "Steer Conversation",
        "Give the turn that a conversation runs something more to go by, without stopping it. Returns once the agent "
        "has taken it in; what the turn comes to is the result of its own call.",
        {**_THREAD, "prompt": _text("What the agent should know or do from now on.")},
        ("threadId", "prompt"),
        {"threadId": _text("The conversation.")},
        _MAKES,
    ),
    _tool(
        "codex-compact",
        "Compact Conversation",
        "Let a conversation replace its history by a summary, to make room. Waits for the turns before it.",
        _THREAD,
        ("threadId",),
        {"threadId": _text("The conversation.")},
        _MAKES,
    ),
    _tool(
        "codex-fork",
        "Fork Conversation",
        "Make a new conversation that begins with the turns of another one, which stays as it is. Go on with the new "
        "one by `codex-reply`.",
        {**_THREAD, "turn": _number("The last turn to take over, as `codex-read` counts; all if left out.", 1)},
        ("threadId",),
        {
            "threadId": _text("The new conversation."),
            "forkedFrom": _text("The one from which it was made."),
            "turns": {"type": "integer", "description": "How many turns it begins with."},
        },
        _MAKES,
    ),
)
