"""MCP as spoken with one client: its methods, and their handlers.

It answers the handshake and the lists by itself from the first moment; tool calls wait for the process tree. One
table leads from methods to handlers. Each request is handled in the form in which it comes: with an envelope that
describes the client (`greenroom.protocol.mcp.stateless`), or as the handshake has left it. So clients of both forms are
served on the same connection, also one that tries the newer form first.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from greenroom.protocol.failure import Failure
from greenroom.protocol.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Notification,
    Request,
    Response,
)
from greenroom.protocol.mcp import handshake as mcp
from greenroom.protocol.mcp import toolset
from greenroom.protocol.methods import FOREIGN_TO_HANDSHAKE, FOREIGN_TO_STATELESS, LATE_METHODS
from greenroom.protocol.version import __version__
from greenroom.supervisor.frontend.client_channel import ClientChannel, Write
from greenroom.supervisor.frontend.json_rpc_front import JsonRpcFront, log
from greenroom.supervisor.frontend.request_params import RefusedError, read_params

if TYPE_CHECKING:
    from greenroom.protocol.mcp.stateless import RequestEnvelope
    from greenroom.supervisor.conversations.host import ConversationHost
    from greenroom.supervisor.frontend.mcp.front_state import FrontState
    from greenroom.supervisor.frontend.mcp.services import McpServices

MethodFunction: TypeAlias = Callable[[Request], None]

ENVELOPED = mcp.MODERN_VERSION_KEY.partition("/")[0].encode()
"""Part of the params of every request of the era without handshake, however slashes are escaped there."""
SERVICES = "greenroom.supervisor.frontend.mcp.services"
"""The module that `attach` needs."""


class Front(JsonRpcFront["McpServices"]):
    """The front end of one MCP client (`greenroom.supervisor.frontend.connection.FrontEnd`)."""

    def __init__(
        self,
        write: Write,
        environment: Mapping[str, str],
        session_tools: bool = True,
        approval_tools: bool = False,
        cwd: str = "",
    ) -> None:
        """`session_tools` tells whether the tools about conversations are offered, `approval_tools` those that decide
        approvals; `cwd`: as in `ClientChannel`."""
        super().__init__(ClientChannel(write, self._agent, cwd), environment)
        self._offers_session_tools = session_tools
        self._offers_approval_tools = approval_tools
        self._handshake: mcp.InitializeParams | None = None
        self._version: str | None = None
        self._initialize_params: bytes | None = None
        self._resumed: FrontState | None = None
        self._methods: dict[str, MethodFunction] = {
            "initialize": self._initialize,
            "ping": self._ping,
            "server/discover": self._discover,
            "tools/list": self._list_tools,
            **dict.fromkeys(LATE_METHODS, self._wait),
        }

    @property
    def protocol(self) -> str | None:
        """How status names the protocol of the client; `None` before it is known."""
        return self._version

    @property
    def version(self) -> str | None:
        """The revision that was agreed on; without a handshake that of the first request, `None` before it."""
        return self._version

    @property
    def open_calls(self) -> int:
        """Number of tool calls that wait for their answer."""
        return 0 if self._services is None else self._services.tool_calls.open_calls

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

    def take(self, message: Request | Notification | Response) -> None:
        """Handle a message that came otherwise than as a line. No open request may have the id of a request."""
        if isinstance(message, Request):
            self._peer.admit(message)
        self._handle(message)

    def attach(self, host: "ConversationHost") -> None:
        """Let through what needs the conversations, first what came before."""
        super().attach(host)
        resumed, self._resumed = self._resumed, None
        if resumed is not None and resumed.received:
            self.receive(resumed.received)

    def holds_task(self, task_id: str) -> bool:
        """Tell whether a task is under way in this process."""
        return self._services is not None and self._services.holds_task(task_id)

    def state(self) -> "FrontState | None":
        """Return the state in which another process serves the client on; `None` while something of it is open."""
        services, received = self._services, self._peer.unfinished
        if services is None or received is None or not services.is_at_rest():
            return None
        services.end_streams()
        return services.state(self._initialize_params, self._peer.next_id, received)

    def resume(self, state: "FrontState") -> None:
        """Serve a client on as another process has left it. To be called before `attach`, and before it is read."""
        if state.initialize is not None:
            self._accept(mcp.decode_initialize(state.initialize))
            self._initialize_params = state.initialize
        self._peer.continue_from(state.next_id)
        self._resumed = state

    def _make_services(self, host: "ConversationHost") -> "McpServices":
        from greenroom.supervisor.frontend.mcp.services import McpServices

        services = McpServices(self.channel, host, self.can_ask, lambda: self._version)
        self._methods |= {**services.handlers, "tools/call": self._call_tool}
        if self._resumed is not None:
            services.resume(self._resumed)
        return services

    def _take_notification(self, notification: Notification) -> None:
        if notification.method == "notifications/cancelled":
            self._cancel(notification)
        else:
            super()._take_notification(notification)

    def _take(self, request: Request) -> None:
        """Pass a request to its handler, if its era has the method."""
        if request.method != "initialize" and ENVELOPED in (request.params or b""):
            from greenroom.protocol.mcp.stateless import EnvelopeError, read_envelope

            try:
                envelope = read_envelope(request.params)
            except EnvelopeError as error:
                self.channel.fail(request, error.code, str(error), error.data)
                return
            if envelope is not None:
                self._enter(request, envelope)
        foreign = FOREIGN_TO_HANDSHAKE if self._peer.envelope_of(request) is None else FOREIGN_TO_STATELESS
        if request.method in foreign:
            self._unknown(request)
        else:
            self._serve(request)

    def _dispatch(self, request: Request) -> None:
        self._methods.get(request.method, self._unknown)(request)

    def _enter(self, request: Request, envelope: "RequestEnvelope") -> None:
        """Handle a request of the era without handshake."""
        self._peer.enter(request, envelope)
        if self._introduction is None:
            self._introduce(envelope.client_info, envelope.version)

    def _initialize(self, request: Request) -> None:
        if self._handshake is not None:
            raise RefusedError(INVALID_REQUEST, "initialize called more than once")
        version = self._accept(read_params(request, mcp.decode_initialize))
        self._initialize_params = request.params
        self.channel.respond(request, mcp.initialize_result(version, __version__, self.channel.user_agent))

    def _accept(self, params: mcp.InitializeParams) -> str:
        """Agree on the revision, and return it."""
        self._handshake = params
        version = mcp.negotiate(params.protocol_version)
        self._introduce(params.client_info, version)
        self._peer.accept_batches = version in mcp.BATCH_VERSIONS
        self._peer.drops_events = mcp.drops_events(params)
        return version

    def _introduce(self, client: mcp.ClientInfo | None, version: str) -> None:
        self._introduction = None if client is None else (client.name, client.version)
        self._version = version

    def _discover(self, request: Request) -> None:
        from greenroom.protocol.mcp.stateless import discover_result

        self.channel.respond(request, discover_result())

    def _ping(self, request: Request) -> None:
        self.channel.respond(request, b"{}")

    def _list_tools(self, request: Request) -> None:
        version = self._version if self._peer.envelope_of(request) is None else None
        self.channel.respond(
            request, toolset.tools_result(version, self._offers_session_tools, self._offers_approval_tools)
        )

    def _call_tool(self, request: Request) -> None:
        services = self._services
        if services is None:
            return
        params = read_params(request, self._call_decoder(request))
        if (further_tool := services.further_tools.get(params.name)) is not None:
            further_tool(request, params)
        elif params.name not in toolset.TOOL_NAMES and self._peer.envelope_of(request) is not None:
            self.channel.fail(request, INVALID_PARAMS, f"Unknown tool: {params.name}")
        elif params.name not in toolset.TOOL_NAMES:
            failure = Failure("internal", f"Unknown tool '{params.name}'")
            self.channel.respond(request, mcp.failure_result(failure))
        else:
            services.tool_calls.call(request, params)

    def _call_decoder(self, request: Request) -> Callable[[bytes], mcp.CallToolParams]:
        if self._peer.envelope_of(request) is None:
            return mcp.decode_call_tool
        from greenroom.protocol.mcp.stateless import decode_call_tool

        return decode_call_tool

    def _cancel(self, notification: Notification) -> None:
        try:
            cancelled = mcp.decode_cancelled(notification.params or b"null")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            log().warning("a cancellation that names no request; ignored")
            return
        self._peer.give_up(cancelled.request_id)
        if self._services is not None:
            self._services.cancel(cancelled.request_id)
            return
        for request in [request for request in self._early if request.id == cancelled.request_id]:
            self._early.remove(request)
            failure = Failure("turn_aborted", "Turn aborted: interrupted")
            self.channel.respond(request, mcp.failure_result(failure))

    def _unknown(self, request: Request) -> None:
        text = f"method not found: {request.method}"
        self.channel.fail(request, METHOD_NOT_FOUND, text, {"method": request.method})
