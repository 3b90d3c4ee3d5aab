"""The way to one client: what its services send to it, and whether it reads."""

import os
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from greenroom.protocol.jsonrpc import Request, RequestId, notification_line
from greenroom.protocol.mcp.peer import McpPeer
from greenroom.supervisor.frontend.request_params import RefusedError

Write: TypeAlias = Callable[[bytes], None]
Drain: TypeAlias = Callable[[], Awaitable[None]]


async def _drained() -> None:
    """Return: what is written before there is a transport is not waited for."""


class RequestStreams(Protocol):
    """A transport that has a stream for each request of its client, beside the one for everything else."""

    def writer_for(self, request_id: RequestId) -> Write:
        """Return what queues complete lines in the stream of a request."""

    def answer(self, request_id: RequestId, line: bytes) -> None:
        """Queue the last line of a request; empty where its client wants none any more."""


class ClientChannel:
    """Sends to one client. The client of its turns, for the conversations (`…conversations.turn.Client`)."""

    def __init__(self, write: Write, user_agent: Callable[[], str] = str, cwd: str = "") -> None:
        """`write` queues complete lines; `user_agent` is described at the property of that name.

        `cwd` is the client's own directory, empty where it is that of this process.
        """
        self.cwd = cwd
        """The client's own directory; empty where it is that of this process."""
        self.peer = McpPeer()
        self.write = write
        """Queues complete lines. An attribute, so that sending a line costs no further call."""
        self.drain: Drain = _drained
        """Waits until the client has read what was sent."""
        self.on_rest: Callable[[], object] | None = None
        """Called after each answer to the client, which may be at rest then."""
        self.is_reading = True
        """Whether the client reads what it is sent; the connection keeps it up to date."""
        self._user_agent = user_agent
        self._streams: RequestStreams | None = None

    @property
    def user_agent(self) -> str:
        """The user agent for the model's servers, with the client's name once it is known."""
        return self._user_agent()

    def directory(self, named: str | None) -> str | None:
        """Return a directory as the client means it, or its own where it names none; `None`: that of this process."""
        if not self.cwd or named == "~" or (named or "").startswith("~/"):
            return named
        return os.path.join(self.cwd, named or "")

    def send_through(self, write: Write, drain: Drain) -> None:
        """Send with `write` from now on."""
        self.write, self.drain = write, drain

    def send_in_streams(self, streams: RequestStreams) -> None:
        """Send what belongs to a request in a stream of its own from now on."""
        self._streams = streams

    def writer_for(self, request_id: RequestId | None) -> Write:
        """Return what queues complete lines that belong to an open request of the client, or to none."""
        return self.write if self._streams is None or request_id is None else self._streams.writer_for(request_id)

    def respond(self, request: Request, result: bytes) -> None:
        """Answer a request with a result, which is JSON. Raises `LocalProtocolError` if it was answered before."""
        self._answer(request, self.peer.respond(request, result))

    def fail(self, request: Request, code: int, message: str, data: object = None) -> None:
        """Answer a request with an error. Raises `LocalProtocolError` if it was answered before."""
        self._answer(request, self.peer.fail(request, code, message, data))

    def refuse(self, request: Request, refusal: RefusedError) -> None:
        """Answer a request with the error that it was refused with."""
        self.fail(request, refusal.code, str(refusal), refusal.data)

    def notify(self, method: str, params: object) -> None:
        """Send a notification."""
        self.write(notification_line(method, params))

    def notify_about(self, request_id: RequestId | None, method: str, params: object) -> None:
        """Send a notification that belongs to an open request of the client, or to none."""
        self.writer_for(request_id)(notification_line(method, params))

    def _answer(self, request: Request, line: bytes) -> None:
        if self._streams is None:
            self.write(line)
        else:
            self._streams.answer(request.id, line)
        if self.on_rest is not None:
            self.on_rest()
