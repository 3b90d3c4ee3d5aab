"""What the parts of a turn have taken, as its worker has measured them: model requests, tool calls and decisions.

They hold no text of the user, of the model or of a server. A worker sends those that are complete with its signs of
life and with the end of the turn (`greenroom.protocol.internal.worker.notices`). Times are seconds since the epoch,
durations seconds.
"""

from typing import Final, Literal, TypeAlias, get_args

import msgspec

from greenroom.protocol.message import Message

MOST: Final = 100
"""Timings of one message."""
MOST_OPEN: Final = 10
"""Parts of a turn that are told of before they have ended."""
MOST_ATTEMPTS: Final = 6
"""Attempts of one request that are described; those between the first and the last of many are only counted."""
LONGEST_NAME: Final = 128
"""Characters of a name or an id that others have chosen."""

AttemptOutcome: TypeAlias = str
"""`ok`, the HTTP status of a refusal, or one of `FAULTS`."""
FAULTS: Final = ("unreachable", "broken", "cancelled")
"""Ends of an attempt without an HTTP status of a refusal: no connection, an answer that broke off, no credential to
send, or the turn was stopped."""

ToolOrigin: TypeAlias = Literal["builtin", "mcp", "unknown"]
"""Where a tool comes from; `unknown`: the model has called one that there is not."""
BuiltinTool: TypeAlias = Literal[
    "shell", "container.exec", "exec_command", "write_stdin", "apply_patch", "update_plan", "view_image"
]
"""The names of the tools of `greenroom.workers.tools.catalog`."""
BUILTIN_TOOLS: Final[frozenset[BuiltinTool]] = frozenset(get_args(BuiltinTool))
ToolEnd: TypeAlias = Literal["ok", "failed", "cancelled"]
DecidedBy: TypeAlias = Literal["user", "reviewer"]
"""`user`: the client, or an operator in its place; `reviewer`: a request to the model."""


class TokenUse(Message):
    """Tokens of one response, as the server has reported them."""

    input: int
    """Including cached ones."""
    cached_input: int
    output: int
    """Including those of reasoning."""
    reasoning_output: int


class AttemptTiming(Message):
    """One attempt at a model request."""

    started_at: float
    seconds: float
    outcome: AttemptOutcome


class RequestTiming(Message, tag="request"):
    """A model request, with all its attempts."""

    started_at: float
    seconds: float
    model: str
    provider: str
    """Its name in the configuration."""
    server: str
    """Host and port, without anything else of the URL."""
    attempts: tuple[AttemptTiming, ...] = ()
    outcomes: dict[AttemptOutcome, int] = msgspec.field(default_factory=dict)
    """How many of all attempts ended how."""
    first_token: float | None = None
    """From the start of the last attempt to the first of the model's events; `None` where none came."""
    error: str | None = None
    """Kind of the failure (`greenroom.protocol.errors.ErrorKind`), or `cancelled`; `None` for an answer."""
    usage: TokenUse | None = None
    span_id: str = ""
    """The id by which the server was told of this request (`greenroom.protocol.telemetry.trace_context`); empty where
    it was not."""


class ToolTiming(Message, tag="tool"):
    """A tool call of the model."""

    started_at: float
    seconds: float
    name: str
    call_id: str
    origin: ToolOrigin
    end: ToolEnd
    arguments_size: int
    """Characters."""
    output_size: int
    """Characters of its text; 0 where there is none."""


class DecisionTiming(Message, tag="decision"):
    """A question to the user or to the reviewer, up to the decision."""

    started_at: float
    seconds: float
    kind: str
    """`greenroom.protocol.approval.Question.kind`."""
    call_id: str
    """The tool call that asks; empty for a question of an MCP server itself."""
    tool: str
    """The name of the tool, as `ToolTiming` has it; empty where none runs."""
    by: DecidedBy
    verdict: str
    """`greenroom.protocol.approval.ReviewDecision`, or `cancelled`."""


Timing: TypeAlias = RequestTiming | ToolTiming | DecisionTiming


class OpenRequest(Message, tag="request"):
    """A model request that has not ended."""

    started_at: float
    model: str
    provider: str
    server: str
    span_id: str
    """As `RequestTiming` has it."""


class OpenTool(Message, tag="tool"):
    """A tool call that has not ended."""

    started_at: float
    name: str
    call_id: str
    origin: ToolOrigin


OpenPart: TypeAlias = OpenRequest | OpenTool
