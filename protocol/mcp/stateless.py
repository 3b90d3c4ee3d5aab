"""MCP revision 2026-07-28, which has no handshake: what requests say about their clients, and the form of results.

Loaded with the first request in this form, so that clients with a handshake do not wait for it.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from greenroom.protocol.jsonrpc import INVALID_PARAMS, encode
from greenroom.protocol.mcp import handshake as mcp
from greenroom.protocol.mcp.handshake import (
    MODERN_VERSION_KEY,
    CallToolParams,
    ClientInfo,
    ElicitationMode,
    takes_elicitation,
)

VERSIONS: Final = ("2026-07-28",)
CLIENT_INFO_KEY: Final = "io.modelcontextprotocol/clientInfo"
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
SERVER_INFO_KEY: Final = "io.modelcontextprotocol/serverInfo"

MISSING_CLIENT_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022

ELICIT: Final = "elicitation/create"
TASKS: Final = "io.modelcontextprotocol/tasks"
"""The extension by which long calls continue as tasks."""
CAPABILITIES: Final[dict[str, object]] = {**mcp.CAPABILITIES, "extensions": {TASKS: {}}}
"""The server's capabilities in this era."""

CACHEABLE: Final = frozenset(
    {
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/templates/list",
    }
)
"""The methods whose results say how long a client may cache them."""
LASTING: Final = frozenset({"server/discover", "tools/list"})
"""Those whose results do not change while the server runs."""
LASTING_MS: Final = 3_600_000

_decode_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_client_info: Final = msgspec.json.Decoder(ClientInfo).decode


class _Params(msgspec.Struct, frozen=True):
    meta: dict[str, msgspec.Raw] | None = msgspec.field(default=None, name="_meta")


_decode_params: Final = msgspec.json.Decoder(_Params).decode


class EnvelopeError(ValueError):
    """What a request says about its client is incomplete, or names an unsupported version."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class RequestEnvelope(msgspec.Struct, frozen=True):
    """What a request says about its client; valid for this request only."""

    version: str
    client_info: ClientInfo | None
    capabilities: dict[str, msgspec.Raw]

    def can_ask(self, mode: ElicitationMode = "form") -> bool:
        """Tell whether the client can ask its user questions of this mode."""
        return takes_elicitation(self._object("elicitation", self.capabilities), mode)

    def has_extension(self, name: str) -> bool:
        """Tell whether the client declared an extension."""
        return name in (self._object("extensions", self.capabilities) or {})

    @staticmethod
    def _object(name: str, members: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw] | None:
        try:
            return _decode_object(members[name])
        except (KeyError, msgspec.MsgspecError):
            return None


def read_envelope(params: bytes | None) -> RequestEnvelope | None:
    """Return what a request says about its client, `None` if it names no version and so is of an era with a handshake.

    Raises `EnvelopeError`.
    """
    try:
        meta = _decode_params(params or b"null").meta
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if meta is None or MODERN_VERSION_KEY not in meta:
        return None
    if CAPABILITIES_KEY not in meta:
        raise EnvelopeError(INVALID_PARAMS, f"params._meta lacks {CAPABILITIES_KEY}")
    try:
        version, capabilities = _decode_text(meta[MODERN_VERSION_KEY]), _decode_object(meta[CAPABILITIES_KEY])
    except msgspec.MsgspecError:
        text = f"in params._meta {MODERN_VERSION_KEY} is a string and {CAPABILITIES_KEY} an object"
        raise EnvelopeError(INVALID_PARAMS, text) from None
    if version not in VERSIONS:
        facts = {"supported": VERSIONS, "requested": version}
        raise EnvelopeError(UNSUPPORTED_VERSION, f"Unsupported protocol version: {version}", facts)
    return RequestEnvelope(version, _client_info(meta), capabilities)


def _client_info(meta: dict[str, msgspec.Raw]) -> ClientInfo | None:
    try:
        return _decode_client_info(meta[CLIENT_INFO_KEY])
    except (KeyError, msgspec.MsgspecError):  # it is optional, and nothing depends on it
        return None


def dress(method: str, result: bytes, server: Mapping[str, object]) -> bytes:
    """Complete a result with the members that this revision requires."""
    given = _decode_object(result)
    meta = _decode_object(given.get("_meta", b"{}"))
    members: dict[str, object] = {"resultType": "complete", **given, "_meta": {SERVER_INFO_KEY: server, **meta}}
    if method in CACHEABLE:
        members.setdefault("ttlMs", LASTING_MS if method in LASTING else 0)
        members.setdefault("cacheScope", "private")
    return encode(members)


class RoundParams(CallToolParams, frozen=True):
    """Params of `tools/call`, which may continue an earlier call with the same arguments."""

    request_state: str | None = msgspec.field(default=None, name="requestState")
    input_responses: dict[str, msgspec.Raw] | None = msgspec.field(default=None, name="inputResponses")


decode_call_tool: Final = msgspec.json.Decoder(RoundParams).decode


def input_required_result(requests: Mapping[str, bytes], state: str) -> bytes:
    """Return the result that asks questions. `requests` are params of `elicitation/create`, as JSON, by their keys."""
    questions = {
        key: {"method": "elicitation/create", "params": msgspec.Raw(params)} for key, params in requests.items()
    }
    return encode({"resultType": "input_required", "inputRequests": questions, "requestState": state})


def discover_result() -> bytes:
    """Return the result of `server/discover`."""
    return encode({"supportedVersions": VERSIONS, "capabilities": CAPABILITIES})
