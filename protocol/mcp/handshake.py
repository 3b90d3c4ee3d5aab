"""The Model Context Protocol as Greenroom speaks it: versions, requests that are decoded, results that are sent.

This module decides how fast `initialize` is answered, so it needs msgspec alone; what needs pydantic is in
`greenroom.protocol.mcp.arguments`.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.ids import ConversationId

HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
NEWEST_HANDSHAKE_VERSION: Final = HANDSHAKE_VERSIONS[-1]
BATCH_VERSIONS: Final = frozenset({"2025-03-26"})
"""The only revision in which a receiver must take batches."""

SERVER_NAME: Final = "codex-mcp-server"
"""What clients of the reference look for; Greenroom names itself in `title` and in the user agent."""

EVENT_METHOD: Final = "codex/event"

MODERN_VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
"""The member of `_meta` that a request has in the era without handshake, and in no other
(`greenroom.protocol.mcp.stateless`)."""

ANNOTATIONS_SINCE: Final = "2025-03-26"
"""The revision that brought annotations of tools, and the capability of completions."""
TITLES_SINCE: Final = "2025-06-18"
"""The revision that brought titles beside names, and structured results of tools with their schemas."""

CAPABILITIES: Final[dict[str, object]] = {
    "tools": {"listChanged": False},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {"listChanged": True},
    "completions": {},
}
"""What the server can do in every era."""


ElicitationMode: TypeAlias = Literal["form", "url"]
"""What a question shows the user: a form to fill in, or an address to go to."""


class ClientInfo(msgspec.Struct, frozen=True):
    """Who the client says it is."""

    name: str
    version: str
    title: str | None = None


class InitializeParams(msgspec.Struct, frozen=True, rename="camel"):
    """Params of `initialize`; members that we do not use are ignored."""

    protocol_version: str
    client_info: ClientInfo
    capabilities: dict[str, msgspec.Raw]


ProgressToken: TypeAlias = int | str | None


class CallMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The part of `_meta` that we act on."""

    progress_token: ProgressToken = None


def _no_arguments() -> msgspec.Raw:
    return msgspec.Raw(b"null")


class CallToolParams(msgspec.Struct, frozen=True):
    """Params of `tools/call`. The arguments stay undecoded until the tool is known."""

    name: str
    arguments: msgspec.Raw = msgspec.field(default_factory=_no_arguments)
    meta: CallMeta | None = msgspec.field(default=None, name="_meta")

    @property
    def progress_token(self) -> ProgressToken:
        """What the client wants to hear of progress under, `None` where it wants to hear nothing."""
        return None if self.meta is None else self.meta.progress_token


class CancelledParams(msgspec.Struct, frozen=True, rename="camel"):
    """Params of `notifications/cancelled`. An id matches only in its own JSON type."""

    request_id: int | str
    reason: str | None = None


decode_initialize: Final = msgspec.json.Decoder(InitializeParams).decode
decode_call_tool: Final = msgspec.json.Decoder(CallToolParams).decode
decode_cancelled: Final = msgspec.json.Decoder(CancelledParams).decode

_encode: Final = msgspec.json.Encoder().encode


ANONYMOUS: Final = ("mcp", "0.1.0")
"""How the official Python client calls itself where its application does not say better."""


def drops_events(client: InitializeParams) -> bool:
    """Tell whether a client drops notifications that MCP does not have, in its generation 1.x with a warning for each.

    It is known by its name alone. Generation 2.x has the same one, and an application that wants such notifications
    declares an extension there (docs/decisions/0010-events-for-whom.md).
    """
    info = client.client_info
    return (info.name, info.version) == ANONYMOUS and not {"extensions", "experimental"} & client.capabilities.keys()


def negotiate(version: str) -> str:
    """Return the protocol version to answer with: the client's own where we know it, else the newest."""
    return version if version in HANDSHAKE_VERSIONS else NEWEST_HANDSHAKE_VERSION


def knows_annotations(version: str | None) -> bool:
    """Tell whether a revision has annotations of tools, and completions. `None`: the client has named none."""
    return version is None or version >= ANNOTATIONS_SINCE


def knows_titles(version: str | None) -> bool:
    """Tell whether a revision has titles, and schemas of results. `None`: the client has named none."""
    return version is None or version >= TITLES_SINCE


def handshake_capabilities(version: str) -> dict[str, object]:
    """Return what the server can do in a revision that begins with a handshake."""
    capabilities = {**CAPABILITIES, "logging": {}}
    if not knows_annotations(version):
        del capabilities["completions"]
    return capabilities


def server_info(version: str) -> dict[str, object]:
    """Return who we say we are."""
    return {"name": SERVER_NAME, "title": "Greenroom", "version": version}


def initialize_result(version: str, server_version: str, user_agent: str) -> bytes:
    """Return the result of `initialize`."""
    server = {**server_info(server_version), "user_agent": user_agent}
    if not knows_titles(version):
        del server["title"]
    return _encode({"protocolVersion": version, "capabilities": handshake_capabilities(version), "serverInfo": server})


class Failure(msgspec.Struct, frozen=True):
    """What went wrong in a tool call: a stable kind for programs, a text for people, and further facts."""

    kind: str
    message: str
    facts: dict[str, object] = {}
    answer: str | None = None
    """What the agent has said nevertheless; it comes first then."""


def success_result(conversation_id: ConversationId, text_json: bytes) -> bytes:
    """Return the result of a call that ended well. `text_json` is the agent's last message as a JSON string."""
    return b'{"content":[{"type":"text","text":%b}],"structuredContent":{"threadId":%b,"content":%b}}' % (
        text_json,
        _encode(conversation_id),
        text_json,
    )


def failure_result(failure: Failure, conversation_id: ConversationId | None = None) -> bytes:
    """Return the result of a call that failed; structured content only where a conversation exists.

    The member `error` beside the valid form is what clients of August 2025 look for.
    """
    texts = [failure.message] if failure.answer is None else [failure.answer, failure.message]
    result: dict[str, object] = {"content": [{"type": "text", "text": text} for text in texts]}
    if conversation_id is not None:
        result["structuredContent"] = {
            "threadId": conversation_id,
            "content": texts[0],
            "error": {"kind": failure.kind, "message": failure.message, **failure.facts},
        }
        result["error"] = failure.message
    result["isError"] = True
    return _encode(result)


class EventFrame:
    """Makes `codex/event` lines out of a worker's events without looking into them."""

    __slots__ = ("_between", "_head", "_tail")

    def __init__(self, raw_request_id: bytes, conversation_id: ConversationId, event_id: str) -> None:
        self._head = b'{"jsonrpc":"2.0","method":"codex/event","params":{"_meta":{"requestId":%b,"threadId":%b},' % (
            raw_request_id,
            _encode(conversation_id),
        ) + b'"id":%b,"msg":' % _encode(event_id)
        self._tail = b"}}\n"
        self._between = self._tail + self._head

    def splice(self, events: bytes) -> bytes:
        """Return one line for each event. `events` are JSON objects with a newline between two of them."""
        return self._head + events.replace(b"\n", self._between) + self._tail


def takes_elicitation(capability: object, mode: ElicitationMode) -> bool:
    """Tell whether a client takes questions of a mode. `capability` is its `elicitation`; without a mode: forms."""
    return isinstance(capability, dict) and (mode in capability or (mode == "form" and not capability))
