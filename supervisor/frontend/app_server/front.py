"""The protocol of `codex app-server` as spoken with one client: the handshake, and the way from methods to handlers.

It answers `initialize` by itself from the first moment; other requests wait for the process tree.
"""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from greenroom.protocol.app_server.connection import InitializeParams, InitializeResponse
from greenroom.protocol.app_server.wire import CODEX_VERSION
from greenroom.protocol.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Malformed,
    Notification,
    Request,
    Response,
)
from greenroom.protocol.version import __version__
from greenroom.runtime.originator import ORIGINATOR
from greenroom.runtime.user_agent import user_agent
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.client_channel import Write
from greenroom.supervisor.frontend.request_params import RefusedError, decode

if TYPE_CHECKING:
    import logging

    from greenroom.protocol.report import ClientEntry
    from greenroom.supervisor.conversations.host import ConversationHost
    from greenroom.supervisor.frontend.app_server.services import AppServerServices

Handler: TypeAlias = Callable[[Request], None]
PROTOCOL = "app-server v2"
"""How status names the protocol of such a client."""
SERVICES = "greenroom.supervisor.frontend.app_server.services"
"""The module that `attach` needs."""


class AppServerFront:
    """The front end of one client (`greenroom.supervisor.frontend.connection.FrontEnd`)."""

    def __init__(self, write: Write, environment: Mapping[str, str], home: str, cwd: str = "") -> None:
        """`cwd`: as in `ClientChannel`."""
        self.channel = AppServerChannel(write, self._user_agent, cwd)
        self._peer = self.channel.peer
        self._environment = environment
        self._home = home
        self._handshake: InitializeParams | None = None
        self._services: AppServerServices | None = None
        self._early: list[Request] = []

    @property
    def client(self) -> "ClientEntry | None":
        """The client's name and version, as it has reported them."""
        from greenroom.protocol.report import ClientEntry

        if self._handshake is None:
            return None
        info = self._handshake.client_info
        return ClientEntry(name=info.name, version=info.version, protocol=PROTOCOL)

    @property
    def open_calls(self) -> int:
        """Number of requests that wait for their answer."""
        return self._peer.open_requests

    def receive(self, data: bytes) -> None:
        """Handle bytes of the client."""
        for message in self._peer.receive(data):
            self._handle(message)

    def receive_end(self) -> None:
        """Handle the end of the client's input."""
        for message in self._peer.receive_end():
            self._handle(message)

    def attach(self, host: "ConversationHost") -> None:
        """Let through what needs the conversations, first what came before."""
        from greenroom.supervisor.frontend.app_server.services import AppServerServices

        self._services = AppServerServices(self.channel, host)
        early, self._early = self._early, []
        for request in early:
            self._take(request)

    async def stop(self, reason: str) -> None:
        """Answer with an error what came before `attach`, and whatever is being worked on outside conversations."""
        for request in self._early:
            self.channel.fail(request, INTERNAL_ERROR, reason)
        self._early.clear()
        if self._services is not None:
            await self._services.stop(reason)

    async def close(self) -> None:
        """Settle the rest, once the turns of the client have ended."""
        if self._services is not None:
            await self._services.close()

    def _handle(self, message: Request | Notification | Response | Malformed) -> None:
        match message:
            case Request():
                self._take(message)
            case Malformed():
                _log().warning("a line of the client fits no message: %s", message.reason)
                self.channel.write(message.reply)
            case Response():
                if self._services is None or not self._services.answer(message):
                    _log().info("an answer to %r, which is no open question; ignored", message.id)
            case Notification():
                _log().debug("notification %s; ignored", message.method)

    def _take(self, request: Request) -> None:
        try:
            self._dispatch(request)
        except RefusedError as refusal:
            self.channel.refuse(request, refusal)

    def _dispatch(self, request: Request) -> None:
        if request.method == "initialize":
            self._initialize(request)
        elif self._handshake is None:
            raise RefusedError(INVALID_REQUEST, "Not initialized")
        elif self._services is None:
            self._early.append(request)
        elif (handler := self._services.handlers.get(request.method)) is not None:
            handler(request)
        else:
            text = f"`{request.method}` is not supported"
            raise RefusedError(METHOD_NOT_FOUND, text, {"method": request.method})

    def _initialize(self, request: Request) -> None:
        if self._handshake is not None:
            raise RefusedError(INVALID_REQUEST, "Already initialized")
        params = self._handshake = decode(request, InitializeParams)
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

    def _user_agent(self) -> str:
        """Return the user agent for the model's servers."""
        info = None if self._handshake is None else self._handshake.client_info
        return user_agent(__version__, self._environment, None if info is None else (info.name, info.version))


def _log() -> "logging.Logger":
    import logging  # `initialize` is answered before this is needed

    return logging.getLogger(__name__)
