"""MCP revisions with a handshake: versions, decoding of requests, results.

This module determines how fast `initialize` is answered, so it imports only msgspec; code that needs pydantic is in
`greenroom.protocol.mcp.arguments`.
"""

from typing import Any, Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.telemetry.trace_context import TraceContext, read_trace_context

HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
NEWEST_HANDSHAKE_VERSION: Final = HANDSHAKE_VERSIONS[-1]
BATCH_VERSIONS: Final = frozenset({"2025-03-26"})
"""The only revision in which a receiver must accept batches."""

SERVER_NAME: Final = "codex-mcp-server"
"""The name that clients of the reference check; Greenroom's own is in `title` and in the user agent."""

EVENT_METHOD: Final = "codex/event"

MODERN_VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
"""A member of `_meta` that only requests without a handshake have (`greenroom.protocol.mcp.stateless`)."""

ANNOTATIONS_SINCE: Final = "2025-03-26"
"""The revision that introduced annotations of tools, and the capability of completions."""
TITLES_SINCE: Final = "2025-06-18"
"""The revision that introduced titles, and structured tool results with their schemas."""

CAPABILITIES: Final[dict[str, object]] = {
    "tools": {"listChanged": False},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {"listChanged": True},
    "completions": {},
}
"""The server's capabilities in every revision."""


ElicitationMode: TypeAlias = Literal["form", "url"]
"""The kind of a question: a form to fill in, or a URL to open."""


class ClientInfo(msgspec.Struct, frozen=True):
    """The client's name and version."""

    name: str
    version: str
    title: str | None = None


class InitializeParams(msgspec.Struct, frozen=True, rename="camel"):
    """Params of `initialize`; unused members are ignored."""

    protocol_version: str
    client_info: ClientInfo
    capabilities: dict[str, msgspec.Raw]


ProgressToken: TypeAlias = int | str | None


class CallMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The part of `_meta` that is used."""

    progress_token: ProgressToken = None
    traceparent: Any = None
    """The span of the client (W3C Trace Context), as is `tracestate`; whatever is not valid is ignored."""
    tracestate: Any = None


def _no_arguments() -> msgspec.Raw:
    return msgspec.Raw(b"null")


class CallToolParams(msgspec.Struct, frozen=True):
    """Params of `tools/call`. The arguments stay undecoded until the tool is known."""

    name: str
    arguments: msgspec.Raw = msgspec.field(default_factory=_no_arguments)
    meta: CallMeta | None = msgspec.field(default=None, name="_meta")

    @property
    def progress_token(self) -> ProgressToken:
        """The token for progress notifications, `None` if the client wants none."""
        return None if self.meta is None else self.meta.progress_token

    @property
    def trace(self) -> TraceContext | None:
        """The span of the client, if it has named one."""
        return None if self.meta is None else read_trace_context(self.meta.traceparent, self.meta.tracestate)


class CancelledParams(msgspec.Struct, frozen=True, rename="camel"):
    """Params of `notifications/cancelled`. An id matches only in its own JSON type."""

    request_id: int | str
    reason: str | None = None


decode_initialize: Final = msgspec.json.Decoder(InitializeParams).decode
decode_call_tool: Final = msgspec.json.Decoder(CallToolParams).decode
decode_cancelled: Final = msgspec.json.Decoder(CancelledParams).decode

_encode: Final = msgspec.json.Encoder().encode


ANONYMOUS: Final = ("mcp", "0.1.0")
"""The default name of the official Python client."""


def drops_events(client: InitializeParams) -> bool:
    """Tell whether a client drops notifications that MCP does not define, logging a warning for each (generation 1.x).

    It is recognized only by its name. Generation 2.x has the same name; there an application that wants such
    notifications declares an extension (docs/decisions/0010-events-for-whom.md).
    """
    info = client.client_info
    return (info.name, info.version) == ANONYMOUS and not {"extensions", "experimental"} & client.capabilities.keys()


def negotiate(version: str) -> str:
    """Return the protocol version to answer with: the client's if it is supported, else the newest."""
    return version if version in HANDSHAKE_VERSIONS else NEWEST_HANDSHAKE_VERSION


def knows_annotations(version: str | None) -> bool:
    """Tell whether a revision has annotations of tools, and completions. `None`: no revision was negotiated."""
    return version is None or version >= ANNOTATIONS_SINCE


def knows_titles(version: str | None) -> bool:
    """Tell whether a revision has titles, and schemas of results. `None`: no revision was negotiated."""
    return version is None or version >= TITLES_SINCE


def handshake_capabilities(version: str) -> dict[str, object]:
    """Return the server's capabilities in a revision with a handshake."""
    capabilities = {**CAPABILITIES, "logging": {}}
    if not knows_annotations(version):
        del capabilities["completions"]
    return capabilities


def server_info(version: str) -> dict[str, object]:
    """Return the server's name and version."""
    return {"name": SERVER_NAME, "title": "Greenroom", "version": version}


def initialize_result(version: str, server_version: str, user_agent: str) -> bytes:
    """Return the result of `initialize`."""
    server = {**server_info(server_version), "user_agent": user_agent}
    if not knows_titles(version):
        del server["title"]
    return _encode({"protocolVersion": version, "capabilities": handshake_capabilities(version), "serverInfo": server})


def success_result(
    conversation_id: ConversationId,
    text_json: bytes,
    usage: dict[str, object] | None = None,
    worktree: dict[str, str] | None = None,
) -> bytes:
    """Return the result of a successful call. `text_json` is the agent's last message as a JSON string.

    `worktree` has the `path` and `branch` of the conversation's own worktree.
    """
    return b'{"content":[{"type":"text","text":%b}],"structuredContent":{"threadId":%b,"content":%b%b}}' % (
        text_json,
        _encode(conversation_id),
        text_json,
        _member(b"usage", usage) + _member(b"worktree", worktree),
    )


def _member(name: bytes, value: object) -> bytes:
    """Return a further member of an object; nothing where there is no value."""
    return b"" if value is None else b',"%b":%b' % (name, _encode(value))


def started_result(conversation_id: ConversationId, call_id: str) -> bytes:
    """Return the result of a call that has started a turn and does not wait for it."""
    text = f"Started turn {call_id} of conversation {conversation_id}. `codex-wait` waits for its end."
    structured = {"threadId": conversation_id, "content": text, "callId": call_id}
    return _encode({"content": [{"type": "text", "text": text}], "structuredContent": structured})


def failure_result(
    failure: Failure, conversation_id: ConversationId | None = None, usage: dict[str, object] | None = None
) -> bytes:
    """Return the result of a failed call; it has structured content only if a conversation exists.

    An answer in spite of the failure comes first. The member `error` beside the valid form is what clients of August
    2025 expect.
    """
    texts = [failure.message] if failure.answer is None else [failure.answer, failure.message]
    result: dict[str, object] = {"content": [{"type": "text", "text": text} for text in texts]}
    if conversation_id is not None:
        result["structuredContent"] = {
            "threadId": conversation_id,
            "content": texts[0],
            "error": {"kind": failure.kind, "message": failure.message, **failure.facts},
            **({} if usage is None else {"usage": usage}),
        }
        result["error"] = failure.message
    result["isError"] = True
    return _encode(result)


class EventNotification:
    """Builds `codex/event` lines from a worker's events without parsing them."""

    __slots__ = ("_between", "_head", "_tail")

    def __init__(self, raw_request_id: bytes, conversation_id: ConversationId, event_id: str) -> None:
        self._head = b'{"jsonrpc":"2.0","method":"codex/event","params":{"_meta":{"requestId":%b,"threadId":%b},' % (
            raw_request_id,
            _encode(conversation_id),
        ) + b'"id":%b,"msg":' % _encode(event_id)
        self._tail = b"}}\n"
        self._between = self._tail + self._head

    def splice(self, events: bytes) -> bytes:
        """Return one line for each event. `events` are JSON objects separated by newlines."""
        return self._head + events.replace(b"\n", self._between) + self._tail


def takes_elicitation(capability: object, mode: ElicitationMode) -> bool:
    """Tell whether a client supports questions of a mode. `capability` is its `elicitation`; no mode means forms."""
    return isinstance(capability, dict) and (mode in capability or (mode == "form" and not capability))
