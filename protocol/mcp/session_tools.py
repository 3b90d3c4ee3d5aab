"""The tools about conversations: names, arguments and results.

They are for a client that has lost an id, wants to know the state of a conversation, or has to stop something.
"""

from typing import Final, Literal, TypeAlias, get_args

import msgspec

from greenroom.protocol.mcp.tool_form import LOOKS, MAKES, STOPS, USAGE_PROPERTIES, number, text, tool_definition

PAGE: Final = 20
"""Default number of conversations that `codex-list` returns."""
MOST_LISTED: Final = 100
PASSAGES: Final = 40
"""Default number of passages that `codex-read` returns."""
MOST_PASSAGES: Final = 1000
WAIT: Final = 25.0
"""Default seconds that `codex-wait` waits."""
LONGEST_WAIT: Final = 50.0
"""Seconds that it waits at most: many clients give up a call after 60 s."""

WaitReason: TypeAlias = Literal["ended", "asked", "said", "time"]
TurnState: TypeAlias = Literal["waiting", "running", "completed", "failed", "aborted", "interrupted"]
"""`waiting`: others of the conversation run before it. `interrupted`: its process ended before the turn did."""


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
    cursor: str = ""
    """Where an earlier result ended; empty for the end of the conversation."""


class WaitArguments(ThreadArguments, frozen=True):
    """Arguments of `codex-wait`."""

    call_id: str = msgspec.field(name="callId", default="")
    """The turn to wait for; empty for all of the conversation's."""
    cursor: str = ""
    """Where `codex-read` ended; empty where new passages are not waited for."""
    seconds: float = WAIT


class SteerArguments(ThreadArguments, frozen=True):
    """Arguments of `codex-steer`."""

    prompt: str


class ForkArguments(ThreadArguments, frozen=True):
    """Arguments of `codex-fork`."""

    turn: int | None = None


_THREAD: Final = {"threadId": text("The conversation, as `codex-list` names it.")}
_STATE: Final = text(
    "`running` and `starting`: a turn is under way. `idle`, `parking`, `parked`, `crashed`, `failed`: none is, and "
    "`codex-reply` goes on. `saved`: not used since this server started. `elsewhere`: open in another process."
)
_CONVERSATION: Final[dict[str, dict[str, object]]] = {
    "threadId": text("Names the conversation."),
    "title": text("How it began, in a few words."),
    "cwd": text("Where it works."),
    "model": text("The model of its last turn."),
    "state": _STATE,
    "ageSeconds": {"type": "number", "description": "Seconds since something was last written to it."},
}


_USAGE: Final[dict[str, object]] = {
    "type": "object",
    "description": "What the conversation has used so far, as far as it is recorded.",
    "properties": USAGE_PROPERTIES,
}
_TURN: Final[dict[str, object]] = {
    "type": "object",
    "description": "The turn, by default the one that runs or else the last one; absent where there was none.",
    "required": ["callId", "state"],
    "properties": {
        "callId": text("Names the turn."),
        "state": text(
            "`waiting`: it has not begun. `interrupted`: its process ended before it did, and what it had begun may "
            "have had effects.",
            enum=list(get_args(TurnState)),
        ),
        "doing": text("What it does at the moment."),
        "content": text("The agent's last message, once the turn has ended."),
        "error": {
            "type": "object",
            "description": "Why there is no answer.",
            "required": ["message"],
            "properties": {"kind": text("Stable name of the failure."), "message": text("The failure in words.")},
        },
        "startedAt": {"type": "number", "description": "Seconds since the epoch, where it is known."},
        "endedAt": {"type": "number", "description": "Seconds since the epoch, where it is known."},
        "usage": {
            "type": "object",
            "description": "What the turn has used, where models have prices.",
            "properties": USAGE_PROPERTIES,
        },
    },
}

_APPROVALS: Final[dict[str, object]] = {
    "type": "array",
    "description": "The questions to the user that wait, as `codex-approvals` has them; absent where none does.",
    "items": {"type": "object"},
}

SESSION_TOOLS: Final = (
    tool_definition(
        "codex-list",
        "List Conversations",
        "List the conversations of `codex`, saved and running, the latest first: id, title, directory, age and state. "
        "Use it to find a threadId again.",
        {
            "limit": number("How many at most.", 1, MOST_LISTED),
            "cursor": text("Where to go on: `nextCursor` of an earlier result."),
        },
        (),
        {
            "conversations": {
                "type": "array",
                "items": {"type": "object", "required": ["threadId", "state"], "properties": _CONVERSATION},
            },
            "nextCursor": text("Present where there are more."),
        },
        LOOKS,
    ),
    tool_definition(
        "codex-read",
        "Read Conversation",
        "Return what was said and done in a conversation, with the number of each turn: its end, or with a `cursor` "
        "what has come since. Also tells how its last turn goes on or has ended.",
        {
            **_THREAD,
            "last": number("How many passages at most, counted from the end or from the cursor.", 1, MOST_PASSAGES),
            "cursor": text("Where to go on: `cursor` of an earlier result."),
        },
        ("threadId",),
        {
            **_CONVERSATION,
            "turns": {"type": "integer", "description": "How many turns have ended."},
            "leftOut": {"type": "integer", "description": "Passages before those that are told."},
            "cursor": text("Behind the last passage that is told; give it to `codex-read` or `codex-wait`."),
            "more": {"type": "boolean", "description": "Whether there are further passages already."},
            "turn": _TURN,
            "approvals": _APPROVALS,
            "usage": _USAGE,
        },
        LOOKS,
    ),
    tool_definition(
        "codex-wait",
        "Wait for Conversation",
        "Wait until the turns of a conversation, or one of them, have ended, until a question waits for the user, or "
        "until there is something new behind a `cursor` of `codex-read`. Returns after some seconds in any case; call "
        "it again then.",
        {
            **_THREAD,
            "callId": text("The turn to wait for: `callId` of a call with `wait: false`. All of them if left out."),
            "cursor": text("`cursor` of `codex-read`: also return as soon as there is something behind it."),
            "seconds": {
                "type": "number",
                "description": "How long to wait at most.",
                "minimum": 0,
                "maximum": LONGEST_WAIT,
            },
        },
        ("threadId",),
        {
            "threadId": text("The conversation."),
            "state": _STATE,
            "reason": text(
                "Why it returned: `ended`, `asked` (a question waits for the user), `said` (something is behind the "
                "cursor) or `time`.",
                enum=list(get_args(WaitReason)),
            ),
            "turn": _TURN,
            "approvals": _APPROVALS,
        },
        LOOKS,
    ),
    tool_definition(
        "codex-interrupt",
        "Interrupt Conversation",
        "Stop the turn that a conversation runs and those that wait in it. Their calls end as aborted; the "
        "conversation stays and can go on.",
        _THREAD,
        ("threadId",),
        {
            "threadId": text("The conversation."),
            "interrupted": {"type": "integer", "description": "How many turns were stopped."},
        },
        STOPS,
    ),
    tool_definition(
        "codex-close",
        "Close Conversation",
        "Stop what a conversation runs and end its process with everything that it has started. Nothing that was said "
        "is lost: `codex-reply` takes it up again.",
        _THREAD,
        ("threadId",),
        {
            "threadId": text("The conversation."),
            "interrupted": {"type": "integer", "description": "How many turns were stopped."},
            "worktree": {
                "type": "object",
                "description": "What became of its own git worktree, where it had one.",
                "required": ["path", "branch"],
                "properties": {
                    "path": text("Where it is or was."),
                    "branch": text("Its branch."),
                    "removed": {"type": "boolean", "description": "Present if it was removed: it held nothing."},
                    "reason": text("Present if it is kept: what it holds."),
                },
            },
        },
        STOPS,
    ),
    tool_definition(
        "codex-steer",
        "Steer Conversation",
        "Give the turn that a conversation runs something more to go by, without stopping it. Returns once the agent "
        "has taken it in; what the turn comes to is the result of its own call.",
        {**_THREAD, "prompt": text("What the agent should know or do from now on.")},
        ("threadId", "prompt"),
        {"threadId": text("The conversation.")},
        MAKES,
    ),
    tool_definition(
        "codex-compact",
        "Compact Conversation",
        "Let a conversation replace its history by a summary, to make room. Waits for the turns before it.",
        _THREAD,
        ("threadId",),
        {"threadId": text("The conversation.")},
        MAKES,
    ),
    tool_definition(
        "codex-fork",
        "Fork Conversation",
        "Make a new conversation that begins with the turns of another one, which stays as it is. Go on with the new "
        "one by `codex-reply`.",
        {**_THREAD, "turn": number("The last turn to take over, as `codex-read` counts; all if left out.", 1)},
        ("threadId",),
        {
            "threadId": text("The new conversation."),
            "forkedFrom": text("The one from which it was made."),
            "turns": {"type": "integer", "description": "How many turns it begins with."},
        },
        MAKES,
    ),
)
