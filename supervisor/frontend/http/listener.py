"""The listening socket, and the limits of HTTP connections before a request is understood.

Parsing is left to aiohttp, in its strict form; what it refuses is answered without a word of what was sent.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from greenroom.config.tables.http import KIB, MIB, HttpTable
from greenroom.protocol.errors import StartError
from greenroom.runtime.sockets.acceptor import Acceptor
from greenroom.supervisor.frontend.http.address import ListenAddress, Names
from greenroom.supervisor.frontend.http.endpoint import PATH, HttpEndpoint
from greenroom.supervisor.frontend.http.forwarder import Forwarder
from greenroom.supervisor.frontend.http.guard import Guard
from greenroom.supervisor.frontend.http.refusal import RefusedRequest
from greenroom.supervisor.frontend.http.responses import refusal_response
from greenroom.supervisor.frontend.http.sessions import Sessions
from greenroom.supervisor.frontend.http.stateless import StatelessClients
from greenroom.supervisor.frontend.http.streams import StreamLimits
from greenroom.supervisor.frontend.listener import ClientIntake
from greenroom.supervisor.frontend.mcp.front import Front

log = logging.getLogger(__name__)

MOST_FIELDS: Final = 100
"""Header fields of a request."""
LINGER: Final = 2.0
"""Seconds for which the rest of a body that is not wanted is read, so that its sender sees the answer."""
USER_TIMEOUT_MS: Final = 45_000
"""Milliseconds after which a peer that acknowledges nothing is taken for gone."""
BACKLOG: Final = 128
PASSED_ON: Final = "http"
"""The name of the Unix socket at which another host passes requests on."""

Handle: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""Answers a request."""


class HttpListener:
    """Takes in clients over HTTP. `start` it on the running loop, then `stop` and `close` it."""

    def __init__(
        self,
        settings: HttpTable,
        address: ListenAddress,
        token: str,
        make_front: Callable[[], Front],
        on_listening: Callable[[ListenAddress], None] = lambda _: None,
        listening: socket.socket | None = None,
    ) -> None:
        """`on_listening` is called with the address once it is bound; `listening` is bound to it already."""
        self._settings, self._address, self._token = settings, address, token
        self._make_front, self._on_listening = make_front, on_listening
        self._listening: socket.socket | None = listening
        self._path = ""
        self._local: asyncio.Server | None = None
        self._endpoint: HttpEndpoint | None = None
        self._forwarders: list[Forwarder] = []
        self._stateless: StatelessClients | None = None
        self._acceptor: Acceptor | None = None
        self._arriving: set[asyncio.Task[None]] = set()
        self._web: HttpServer | None = None
        self._sessions: Sessions | None = None

    async def start(self, intake: ClientIntake) -> None:
        """Listen. Raises `StartError`."""
        await self.prepare(intake)
        if self._listening is not None and self._acceptor is None:
            self._listening.listen(BACKLOG)
            self._acceptor = Acceptor(self._listening, self._accepted)
            self._acceptor.resume()
            self._on_listening(self.address)

    async def prepare(self, intake: ClientIntake) -> None:
        """Do all of `start` that can fail, and accept no client yet. Raises `StartError`."""
        if self._web is not None:
            return
        self._listening = listening = self._listening or bound_socket(self._address)
        address = ListenAddress(self._address.host, listening.getsockname()[1])
        settings = self._settings
        limits = StreamLimits(
            settings.keep_kb * KIB, settings.keep_s, settings.keep_streams, settings.keep_session_mb * MIB
        )
        self._sessions = Sessions(
            self._make_front,
            intake,
            limits,
            settings.sessions,
            settings.open_requests,
            settings.session_idle_s,
        )
        self._stateless = stateless = StatelessClients(self._make_front, intake, settings.stateless_requests)
        guard = Guard(Names(address, settings.hosts, settings.origins), self._token)
        self._endpoint = HttpEndpoint(guard, self._sessions, stateless, settings)
        self._web = HttpServer(self._endpoint.handle, settings)
        self._address = address

    @property
    def address(self) -> ListenAddress:
        """Where it listens; with the port once that is bound."""
        return self._address

    @property
    def descriptor(self) -> int:
        """The listening socket."""
        return -1 if self._listening is None else self._listening.fileno()

    @property
    def is_at_rest(self) -> bool:
        """Whether neither a session is open, nor a request without one, nor a connection on which one may come."""
        is_open = self._sessions or self._arriving or (self._web is not None and self._web.remote)
        return not is_open and (self._stateless is None or not self._stateless.streams.open_requests)

    def pass_on(self, path: str, *, is_replaced: bool) -> None:
        """Pass on to another host what belongs to it; `is_replaced`: so does everything that begins."""
        if self._endpoint is not None:
            self._endpoint.elsewhere = Forwarder(path, closes=is_replaced)
            self._forwarders.append(self._endpoint.elsewhere)
            self._endpoint.is_replaced = is_replaced

    def pass_nothing_on(self) -> None:
        """Serve everything here: the other host has ended."""
        if self._endpoint is not None:
            self._endpoint.is_replaced = False
            self._endpoint.elsewhere = None
        self.sessions.keep_all()

    async def take_passed_on(self, directory: str) -> str:
        """Take what another host passes on, at a Unix socket in a directory; return the path of that."""
        if self._web is not None and self._local is None:
            self._path = os.path.join(directory, PASSED_ON)
            self._local = await asyncio.get_running_loop().create_unix_server(self._web, self._path)
        return self._path

    def release(self) -> None:
        """Accept no more, and leave the socket to another process."""
        if self._acceptor is not None:
            self._acceptor.close()
        if self._listening is not None:
            self._listening.close()

    async def drained(self) -> None:
        """Return: it has nothing that goes on by itself."""

    @property
    def sessions(self) -> "Sessions":
        """The sessions. To be asked for only once it is prepared."""
        assert self._sessions is not None, "sessions are made in `prepare`"
        return self._sessions

    def on_rest(self, call: Callable[[], object]) -> None:
        """Let something be called each time that an answer of a session was sent."""
        if self._endpoint is not None:
            self._endpoint.on_rest = call

    def let_go(self) -> None:
        """End what requests without a session share, if none is open."""
        if self._stateless is not None:
            self._stateless.let_go()

    def stop(self) -> None:
        """Take in no more clients; sessions that are open are served on, also over new connections."""
        if self._sessions is not None:
            self._sessions.is_closing = True

    async def close(self) -> None:
        """Listen no more, and close connections once they have sent what they are sending."""
        if self._sessions is not None:
            self._sessions.close()
        self.release()
        if self._local is not None:
            self._local.close()
        for forwarder in self._forwarders:
            await forwarder.close()
        if self._web is not None:
            self._web.pre_shutdown()

    def _accepted(self, connected: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(self._take_in(connected), name="arriving")
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _take_in(self, connected: socket.socket) -> None:
        assert self._web is not None, "it is made in `prepare`"
        await asyncio.get_running_loop().connect_accepted_socket(self._web, connected)


def url_of(address: ListenAddress) -> str:
    """Return where clients find MCP."""
    return f"http://{address.text}{PATH}"


class HttpServer(web.Server):
    """Makes the protocol of each connection, and bounds their number."""

    def __init__(self, handle: Handle, settings: HttpTable, *, bounds_local: bool = False) -> None:
        """`bounds_local`: connections at a Unix socket count as well, those of another host of the home do not."""
        super().__init__(handle, request_factory=self._request, handler_cancellation=True)
        self._most = settings.connections
        self._bounds_local = bounds_local
        self._body_bytes = settings.body_mb * MIB
        self._line_bytes = settings.header_kb * KIB
        self._header_s = settings.header_timeout_s
        self._running = asyncio.get_running_loop()
        self._open = 0
        self.remote: set[web.RequestHandler] = set()
        """The connections, but for those of another host of the home."""

    def __call__(self) -> web.RequestHandler:
        return HttpConnection(
            self,
            loop=self._running,
            keepalive_timeout=self._header_s,
            access_log=None,  # type: ignore[arg-type]
            max_line_size=self._line_bytes,
            max_field_size=self._line_bytes,
            max_headers=MOST_FIELDS,
            lingering_time=LINGER,
            auto_decompress=False,
            timeout_ceil_threshold=3600.0,
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection, and end it where there are too many."""
        super().connection_made(handler, transport)
        self._open += 1
        connected = transport.get_extra_info("socket")
        is_local = connected is None or connected.family == socket.AF_UNIX
        if is_local and not self._bounds_local:
            return
        if not is_local:
            self.remote.add(handler)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        if self._open > self._most:
            log.warning("a connection over HTTP is closed: %d are open (greenroom.http.connections)", self._most)
            transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Count the end of a connection."""
        self._open -= 1
        self.remote.discard(handler)
        super().connection_lost(handler, exc)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        return web.BaseRequest(
            message, payload, protocol, writer, task, self._running, client_max_size=self._body_bytes
        )


class HttpConnection(web.RequestHandler):
    """One connection; what it cannot read is refused in words of our own."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - nothing of it is repeated
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Answer a request that is not understood, or whose handler broke."""
        if isinstance(exc, ConnectionError):
            log.debug("a client over HTTP has left: %s", exc)
        elif status >= 500:
            log.error("a request over HTTP broke", exc_info=exc)
        text = "Bad Request: this is no HTTP request that is understood" if status < 500 else "Internal Server Error"
        return refusal_response(RefusedRequest(status, text))


def bound_socket(address: ListenAddress) -> socket.socket:
    """Return a socket that is bound to an address. Raises `StartError`."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        listening = socket.socket(family, kind | getattr(socket, "SOCK_CLOEXEC", 0), protocol)
    except OSError as error:
        raise StartError(f"HTTP at {address.text}: {error.strerror or error}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
    except OSError as error:
        listening.close()
        raise StartError(f"HTTP at {address.text}: {error.strerror or error}") from error
    return listening
