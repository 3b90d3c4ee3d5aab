"""The protocol of `codex app-server` as spoken with one client: the handshake, and the way from methods to handlers.

It answers `initialize` by itself from the first moment; other requests wait for the process tree.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from greenroom.protocol.app_server.connection import InitializeParams, InitializeResponse
from greenroom.protocol.app_server.wire import CODEX_VERSION
from greenroom.protocol.jsonrpc import INVALID_REQUEST, METHOD_NOT_FOUND, Request
from greenroom.protocol.version import __version__
from greenroom.runtime.originator import ORIGINATOR
from greenroom.runtime.user_agent import user_agent
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.client_channel import Write
from greenroom.supervisor.frontend.json_rpc_front import JsonRpcFront
from greenroom.supervisor.frontend.request_params import RefusedError, decode

if TYPE_CHECKING:
    from greenroom.supervisor.conversations.host import ConversationHost
    from greenroom.supervisor.frontend.app_server.services import AppServerServices

SERVICES = "greenroom.supervisor.frontend.app_server.services"
"""The module that `attach` needs."""


class AppServerFront(JsonRpcFront["AppServerServices"]):
    """The front end of one client (`greenroom.supervisor.frontend.connection.FrontEnd`)."""

    channel: AppServerChannel

    def __init__(self, write: Write, environment: Mapping[str, str], home: str, cwd: str = "") -> None:
        """`cwd`: as in `ClientChannel`."""
        super().__init__(AppServerChannel(write, self._agent, cwd), environment)
        self._home = home

    @property
    def protocol(self) -> str:
        """How status names the protocol of the client."""
        return "app-server v2"

    @property
    def open_calls(self) -> int:
        """Number of requests that wait for their answer."""
        return self._peer.open_requests

    def _make_services(self, host: "ConversationHost") -> "AppServerServices":
        from greenroom.supervisor.frontend.app_server.services import AppServerServices

        return AppServerServices(self.channel, host)

    def _dispatch(self, request: Request) -> None:
        if request.method == "initialize":
            self._initialize(request)
        elif self._introduction is None:
            raise RefusedError(INVALID_REQUEST, "Not initialized")
        elif self._services is None:
            self._wait(request)
        elif (handler := self._services.handlers.get(request.method)) is not None:
            handler(request)
        else:
            text = f"`{request.method}` is not supported"
            raise RefusedError(METHOD_NOT_FOUND, text, {"method": request.method})

    def _initialize(self, request: Request) -> None:
        if self._introduction is not None:
            raise RefusedError(INVALID_REQUEST, "Already initialized")
        params = decode(request, InitializeParams)
        self._introduction = params.client_info.name, params.client_info.version
        if params.capabilities is not None:
            self.channel.unwanted = frozenset(params.capabilities.opt_out_notification_methods or ())
        result = InitializeResponse(
            user_agent=self._agent_for_client(params),
            codex_home=self._home,
            platform_family="unix",
            platform_os="macos" if sys.platform == "darwin" else "linux",
        )
        self.channel.respond(request, msgspec.json.encode(result))

    def _agent_for_client(self, params: InitializeParams) -> str:
        """Return what tells the client the release whose protocol this is, and then who really answers."""
        info = params.client_info
        environment = {**self._environment, ORIGINATOR: self._environment.get(ORIGINATOR) or info.name}
        agent = user_agent(CODEX_VERSION, environment, (info.name, info.version))
        return f"{agent} greenroom/{__version__}"
