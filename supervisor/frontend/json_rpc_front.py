"""What every front end that speaks JSON-RPC does with its client's messages, whatever its methods are.

Requests are handled in the order in which they come, and each is answered once. What needs the conversations waits
until they are there. Needed before there is an event loop.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from greenroom.protocol.jsonrpc import INTERNAL_ERROR, Malformed, Notification, Request, Response
from greenroom.protocol.version import __version__
from greenroom.runtime.user_agent import user_agent
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.request_params import RefusedError

if TYPE_CHECKING:
    import logging

    from greenroom.protocol.report import ClientEntry
    from greenroom.supervisor.conversations.host import ConversationHost


class ClientServices(Protocol):
    """What one client is served with, once there are conversations."""

    def answer(self, response: Response) -> bool:
        """Handle the client's answer to a question; return whether the question exists."""

    async def stop(self, reason: str) -> None:
        """Answer what is being worked on outside conversations."""

    async def close(self) -> None:
        """Settle the rest. All turns must have ended."""


S = TypeVar("S", bound=ClientServices)


class JsonRpcFront(ABC, Generic[S]):
    """The frame of a front end of one client (`greenroom.supervisor.frontend.connection.FrontEnd`).

    A protocol adds its methods in `_dispatch`, and its services in `_make_services`.
    """

    def __init__(self, channel: ClientChannel, environment: Mapping[str, str]) -> None:
        self.channel = channel
        self._peer = channel.peer
        self._environment = environment
        self._introduction: tuple[str, str] | None = None
        """The client's name and version, once it has introduced itself."""
        self._services: S | None = None
        self._early: list[Request] = []

    @property
    @abstractmethod
    def protocol(self) -> str | None:
        """How status names the protocol of the client; `None` before it is known."""

    @property
    def client(self) -> "ClientEntry | None":
        """The client's name and version, as it has reported them."""
        from greenroom.protocol.report import ClientEntry

        if self._introduction is None:
            return None
        name, version = self._introduction
        return ClientEntry(name=name, version=version, protocol=self.protocol)

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
        self._services = self._make_services(host)
        early, self._early = self._early, []
        for request in early:
            self._serve(request)

    async def stop(self, reason: str) -> None:
        """Answer with an error what came before `attach`, and whatever is being worked on outside conversations."""
        self.refuse_early(reason)
        if self._services is not None:
            await self._services.stop(reason)

    def refuse_early(self, reason: str) -> None:
        """Answer what came before `attach`, which will not be called."""
        early, self._early = self._early, []
        for request in early:
            self.channel.fail(request, INTERNAL_ERROR, reason)

    async def close(self) -> None:
        """Settle the rest, once the turns of the client have ended."""
        if self._services is not None:
            await self._services.close()

    @abstractmethod
    def _make_services(self, host: "ConversationHost") -> S:
        """Return what the client is served with."""

    @abstractmethod
    def _dispatch(self, request: Request) -> None:
        """Handle a request, or raise `RefusedError`."""

    def _take(self, request: Request) -> None:
        """Handle a request that has just come."""
        self._serve(request)

    def _take_notification(self, notification: Notification) -> None:
        """Handle a notification."""
        log().debug("notification %s; ignored", notification.method)

    def _handle(self, message: Request | Notification | Response | Malformed) -> None:
        match message:
            case Request():
                self._take(message)
            case Notification():
                self._take_notification(message)
            case Malformed():
                log().warning("a line of the client fits no message: %s", message.reason)
                self.channel.write(message.reply)
            case Response():
                if self._services is None or not self._services.answer(message):
                    log().info("an answer to %r, which is no open question; ignored", message.id)

    def _serve(self, request: Request) -> None:
        try:
            self._dispatch(request)
        except RefusedError as refusal:
            self.channel.refuse(request, refusal)

    def _wait(self, request: Request) -> None:
        """Keep a request until there are conversations."""
        self._early.append(request)

    def _agent(self) -> str:
        """Return the user agent for the model's servers."""
        return user_agent(__version__, self._environment, self._introduction)


def log() -> "logging.Logger":
    """Return the logger of front ends."""
    import logging  # `initialize` is answered before this is needed

    return logging.getLogger(__name__)
