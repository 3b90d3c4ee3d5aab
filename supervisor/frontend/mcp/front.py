"""The MCP connection: the methods of a client, and their handlers.

It answers the handshake and the lists by itself from the first moment; tool calls wait for the process tree. One
table leads from methods to handlers. Each request is taken in the era in which it comes: with an envelope that says who
the client is (`greenroom.protocol.mcp.stateless`), or as the handshake has left it. So clients of both eras find
what they expect on the
same connection, also one that tries the newer era first.
"""

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

import msgspec

from greenroom.protocol.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Malformed,
    Notification,
    Request,
    RequestId,
    Response,
)
from greenroom.protocol.mcp import handshake as mcp
from greenroom.protocol.mcp import toolset
from greenroom.protocol.mcp.peer import McpPeer
from greenroom.protocol.methods import FOREIGN_TO_HANDSHAKE, FOREIGN_TO_STATELESS, LATE_METHODS
from greenroom.protocol.version import __version__
from greenroom.runtime.user_agent import user_agent

if TYPE_CHECKING:
    from greenroom.protocol.mcp.stateless import RequestEnvelope
    from greenroom.supervisor.frontend.mcp.tool_calls import ToolCallHandler

log = logging.getLogger(__name__)

Write: TypeAlias = Callable[[bytes], None]
Handler: TypeAlias = Callable[[Request], None]
Canceller: TypeAlias = Callable[[RequestId], None]
T = TypeVar("T")

ENVELOPED = mcp.MODERN_VERSION_KEY.partition("/")[0].encode()
"""Part of the params of every request of the era without handshake, however slashes are escaped there."""


class Services(NamedTuple):
    """What needs the process tree."""

    tool_calls: "ToolCallHandler"
    handlers: Mapping[str, Handler]
    """Further methods."""
    cancellers: tuple[Canceller, ...]
    """Called with the id of each request that the client cancels; unknown ids are ignored."""
    session_tools: Mapping[str, Callable[[Request, mcp.CallToolParams], None]] = MappingProxyType({})
    """The tools about conversations; none where they are switched off."""


class Front:
    """One client's connection."""

    def __init__(self, write: Write, environment: Mapping[str, str], session_tools: bool = True) -> None:
        """`session_tools` tells whether the tools about conversations are offered."""
        self._offers_session_tools = session_tools
        self._session_tools: Mapping[str, Callable[[Request, mcp.CallToolParams], None]] = {}
        self._peer = McpPeer()
        self._write = write
        self._environment = environment
        self._handshake: mcp.InitializeParams | None = None
        self._client_info: mcp.ClientInfo | None = None
        self._version: str | None = None
        self._tool_calls: ToolCallHandler | None = None
        self._cancellers: tuple[Canceller, ...] = ()
        self._early: list[Request] = []
        self._methods: dict[str, Handler] = {
            "initialize": self._initialize,
            "ping": self._ping,
            "server/discover": self._discover,
            "tools/list": self._list_tools,
            **dict.fromkeys(LATE_METHODS, self._early.append),
        }

    @property
    def user_agent(self) -> str:
        """The user agent for the model's servers, with the client's name once it is known."""
        info = self._client_info
        return user_agent(__version__, self._environment, None if info is None else (info.name, info.version))

    @property
    def client(self) -> mcp.ClientInfo | None:
        """The client's name and version, as it has reported them."""
        return self._client_info

    def can_ask(self, mode: mcp.ElicitationMode) -> bool:
        """Tell whether the client accepts questions of a mode, by its handshake.

        A client without a handshake, or whose declaration is not an object, is assumed to show forms.
        """
        if self._handshake is None:
            return mode == "form"
        declared = self._handshake.capabilities.get("elicitation")
        if declared is None:
            return False
        capability = msgspec.json.decode(declared)
        return mcp.takes_elicitation(capability, mode) if isinstance(capability, dict) else mode == "form"

    @property
    def version(self) -> str | None:
        """The agreed revision of MCP."""
        return self._version

    def receive(self, data: bytes) -> None:
        """Handle bytes of the client."""
        for message in self._peer.receive(data):
            self._handle(message)

    def receive_end(self) -> None:
        """Handle the end of the client's input."""
        for message in self._peer.receive_end():
            self._handle(message)

    def write_to(self, write: Write) -> None:
        """Send with `write` from now on."""
        self._write = write

    def attach_services(self, build: "Callable[[McpPeer, Write], Services]") -> None:
        """Let through what needs the process tree, first what came before. `build` makes it around our peer."""
        self._tool_calls, handlers, self._cancellers, self._session_tools = build(self._peer, self._write)
        self._methods |= {**handlers, "tools/call": self._call_tool}
        for request in self._early:
            self._methods[request.method](request)
        self._early.clear()

    def refuse_early(self, text: str) -> None:
        """Answer what came before the process tree, which will not come up."""
        for request in self._early:
            self._write(self._peer.fail(request, INTERNAL_ERROR, text))
        self._early.clear()

    def _handle(self, message: Request | Notification | Response | Malformed) -> None:
        match message:
            case Request():
                self._take(message)
            case Notification(method="notifications/cancelled"):
                self._cancel(message)
            case Malformed():
                log.warning("a line of the client fits no message: %s", message.reason)
                self._write(message.reply)
            case Response():
                if self._tool_calls is None or not self._tool_calls.answer(message):
                    log.info("an answer to %r, which we did not ask; ignored", message.id)
            case Notification():
                log.debug("notification %s; ignored", message.method)

    def _take(self, request: Request) -> None:
        """Pass a request to its handler, if its era has the method."""
        if request.method != "initialize" and ENVELOPED in (request.params or b""):
            from greenroom.protocol.mcp.stateless import EnvelopeError, read_envelope

            try:
                envelope = read_envelope(request.params)
            except EnvelopeError as error:
                self._write(self._peer.fail(request, error.code, str(error), error.data))
                return
            if envelope is not None:
                self._enter(request, envelope)
        foreign = FOREIGN_TO_HANDSHAKE if self._peer.envelope_of(request) is None else FOREIGN_TO_STATELESS
        handler = self._unknown if request.method in foreign else self._methods.get(request.method, self._unknown)
        handler(request)

    def _enter(self, request: Request, envelope: "RequestEnvelope") -> None:
        """Handle a request of the era without handshake."""
        self._peer.enter(request, envelope)
        if self._client_info is None:
            self._client_info, self._version = envelope.client_info, envelope.version

    def _initialize(self, request: Request) -> None:
        if self._handshake is not None:
            self._write(self._peer.fail(request, INVALID_REQUEST, "initialize called more than once"))
            return
        params = self._decode(request, mcp.decode_initialize)
        if params is None:
            return
        self._handshake, self._client_info = params, params.client_info
        self._version = version = mcp.negotiate(params.protocol_version)
        self._peer.accept_batches = version in mcp.BATCH_VERSIONS
        self._peer.drops_events = mcp.drops_events(params)
        self._write(self._peer.respond(request, mcp.initialize_result(version, __version__, self.user_agent)))

    def _discover(self, request: Request) -> None:
        from greenroom.protocol.mcp.stateless import discover_result

        self._write(self._peer.respond(request, discover_result()))

    def _ping(self, request: Request) -> None:
        self._write(self._peer.respond(request, b"{}"))

    def _list_tools(self, request: Request) -> None:
        version = self._version if self._peer.envelope_of(request) is None else None
        self._write(self._peer.respond(request, toolset.tools_result(version, self._offers_session_tools)))

    def _call_tool(self, request: Request) -> None:
        params = self._decode(request, self._call_decoder(request))
        if params is None:
            return
        if (session_tool := self._session_tools.get(params.name)) is not None:
            session_tool(request, params)
        elif params.name not in toolset.TOOL_NAMES and self._peer.envelope_of(request) is not None:
            self._write(self._peer.fail(request, INVALID_PARAMS, f"Unknown tool: {params.name}"))
        elif params.name not in toolset.TOOL_NAMES:
            failure = mcp.Failure("internal", f"Unknown tool '{params.name}'")
            self._write(self._peer.respond(request, mcp.failure_result(failure)))
        elif self._tool_calls is not None:
            self._tool_calls.call(request, params)

    def _call_decoder(self, request: Request) -> Callable[[bytes], mcp.CallToolParams]:
        if self._peer.envelope_of(request) is None:
            return mcp.decode_call_tool
        from greenroom.protocol.mcp.stateless import decode_call_tool

        return decode_call_tool

    def _cancel(self, notification: Notification) -> None:
        try:
            cancelled = mcp.decode_cancelled(notification.params or b"null")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            log.warning("a cancellation that names no request; ignored")
            return
        self._peer.give_up(cancelled.request_id)
        if self._tool_calls is not None:
            for cancel in self._cancellers:
                cancel(cancelled.request_id)
            return
        for request in [request for request in self._early if request.id == cancelled.request_id]:
            self._early.remove(request)
            failure = mcp.Failure("turn_aborted", "Turn aborted: interrupted")
            self._write(self._peer.respond(request, mcp.failure_result(failure)))

    def _unknown(self, request: Request) -> None:
        text = f"method not found: {request.method}"
        self._write(self._peer.fail(request, METHOD_NOT_FOUND, text, {"method": request.method}))

    def _decode(self, request: Request, decode: Callable[[bytes], T]) -> T | None:
        try:
            return decode(request.params or b"null")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._write(self._peer.fail(request, INVALID_PARAMS, f"invalid params for {request.method}: {error}"))
            return None
