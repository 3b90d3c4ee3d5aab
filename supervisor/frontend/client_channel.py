"""The way to one client: what its services send to it, and whether it reads."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from greenroom.protocol.jsonrpc import Request, notification_line
from greenroom.protocol.mcp.peer import McpPeer
from greenroom.supervisor.frontend.request_params import RefusedError

Write: TypeAlias = Callable[[bytes], None]
Drain: TypeAlias = Callable[[], Awaitable[None]]


async def _drained() -> None:
    """Return: what is written before there is a transport is not waited for."""


class ClientChannel:
    """Sends to one client. The client of its turns, for the conversations (`…conversations.turn.Client`)."""

    def __init__(self, write: Write, user_agent: Callable[[], str] = str) -> None:
        """`write` queues complete lines; `user_agent` is described at the property of that name."""
        self.peer = McpPeer()
        self.write = write
        """Queues complete lines. An attribute, so that sending a line costs no further call."""
        self.drain: Drain = _drained
        """Waits until the client has read what was sent."""
        self.is_reading = True
        """Whether the client reads what it is sent; the connection keeps it up to date."""
        self._user_agent = user_agent

    @property
    def user_agent(self) -> str:
        """The user agent for the model's servers, with the client's name once it is known."""
        return self._user_agent()

    def send_through(self, write: Write, drain: Drain) -> None:
        """Send with `write` from now on."""
        self.write, self.drain = write, drain

    def respond(self, request: Request, result: bytes) -> None:
        """Answer a request with a result, which is JSON. Raises `LocalProtocolError` if it was answered before."""
        self.write(self.peer.respond(request, result))

    def fail(self, request: Request, code: int, message: str, data: object = None) -> None:
        """Answer a request with an error. Raises `LocalProtocolError` if it was answered before."""
        self.write(self.peer.fail(request, code, message, data))

    def refuse(self, request: Request, refusal: RefusedError) -> None:
        """Answer a request with the error that it was refused with."""
        self.fail(request, refusal.code, str(refusal), refusal.data)

    def notify(self, method: str, params: object) -> None:
        """Send a notification."""
        self.write(notification_line(method, params))
