"""Serves the metrics of the instance over HTTP, to programs of this machine that collect them.

Loopback or a Unix socket, GET alone, one page. A page in a browser and another user get nothing: over TCP Linux tells
whose connection it is, and where a system does not, only `metrics_users = ["*"]` lets anybody in.
"""

import asyncio
import logging
import os
import pwd
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from greenroom.config.tables.http import HttpTable
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.telemetry import openmetrics
from greenroom.protocol.telemetry.metric import Family
from greenroom.runtime.sockets import socket_file
from greenroom.runtime.sockets.tcp_owner import owner_of_peer
from greenroom.supervisor.control import peer
from greenroom.supervisor.frontend.http.address import ListenAddress, Names, parse_address
from greenroom.supervisor.frontend.http.listener import HttpServer, bound_socket
from greenroom.supervisor.frontend.http.refusal import RefusedRequest
from greenroom.supervisor.frontend.http.request_head import RequestHead

log = logging.getLogger(__name__)

PATH: Final = "/metrics"
UNIX: Final = "unix:"
"""What the address of a Unix socket begins with."""
ANYBODY: Final = "*"
LIMITS: Final = HttpTable(connections=16, header_timeout_s=10.0)
_TEXT: Final = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}

ReadMetrics = Callable[[], Awaitable[list[Family]]]


class MetricsListener:
    """Serves one address. `start` it on the running loop, and `close` it."""

    def __init__(self, listen: str, users: Sequence[str], read: ReadMetrics) -> None:
        """`users` may read beside the one of this process. Raises `ConfigError`."""
        self._path = listen.removeprefix(UNIX).removeprefix("//") if listen.startswith(UNIX) else None
        self._address = None if self._path is not None else _loopback(listen)
        if self._path is not None and not os.path.isabs(self._path):
            raise ConfigError(f"`greenroom.metrics_listen` is `{listen}`; after `{UNIX}` comes an absolute path")
        self._users = None if ANYBODY in users else {os.getuid(), *map(_uid, users)}
        self._read = read
        self._names: Names | None = None
        self._server: asyncio.Server | None = None
        self._own: socket_file.SocketFileIdentity | None = None

    async def start(self) -> str:
        """Listen, and return where. Raises `StartError`."""
        web_server = HttpServer(self.handle, LIMITS, bounds_local=True)
        loop = asyncio.get_running_loop()
        if self._address is None:
            assert self._path is not None, "it is one or the other"
            is_shared = self._users is None or len(self._users) > 1
            listening = socket_file.open_socket(self._path, 0o666 if is_shared else 0o600)
            self._own = socket_file.identity(self._path)
            self._server = await loop.create_unix_server(web_server, sock=listening)
            return f"{UNIX}{self._path}"
        listening = bound_socket(self._address)
        address = ListenAddress(self._address.host, listening.getsockname()[1])
        self._names = Names(address)
        self._server = await loop.create_server(web_server, sock=listening)
        return f"http://{address.text}{PATH}"

    def close(self) -> None:
        """Stop listening, and remove the socket."""
        if self._server is not None:
            if self._path is not None:
                socket_file.remove_socket(self._path, self._own)
            self._server.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        try:
            self._check(request)
        except RefusedRequest as refusal:
            response = web.Response(status=refusal.status, text=f"{refusal}\n", headers={**_TEXT, **refusal.headers})
            response.force_close()
            return response
        text = openmetrics.metrics_page([((), await self._read())])
        return web.Response(body=text.encode(), headers={**_TEXT, "Content-Type": openmetrics.CONTENT_TYPE})

    def _check(self, request: web.BaseRequest) -> None:
        """Let a request pass. Raises `RefusedRequest`."""
        head = RequestHead(request.method, request.rel_url.path, request.headers.items())
        if self._names is not None and not self._names.is_host(head.one("host") or ""):
            raise RefusedRequest(403, "Forbidden: the Host header does not name this server")
        if head.one("origin") is not None or head.one("sec-fetch-site") not in (None, "none"):
            raise RefusedRequest(403, "Forbidden: requests from web pages are not served")
        if self._users is not None and self._user_of(request) not in self._users:
            raise RefusedRequest(403, "Forbidden: metrics are for their user; `greenroom.metrics_users` may name more")
        if head.path != PATH:
            raise RefusedRequest(404, f"Not Found: metrics are at {PATH}")
        if head.method != "GET":
            raise RefusedRequest(405, "Method Not Allowed", headers={"Allow": "GET"})

    def _user_of(self, request: web.BaseRequest) -> int | None:
        """Return the id of the user at the other end; `None` where it is not known."""
        transport = request.transport
        if transport is None:
            return None
        connected: socket.socket = transport.get_extra_info("socket")
        try:
            return owner_of_peer(connected) if self._path is None else peer.peer_of(connected).uid
        except OSError:
            return None


def _loopback(listen: str) -> ListenAddress:
    address = parse_address(listen)
    if not address.is_loopback:
        raise ConfigError(f"`greenroom.metrics_listen` is `{listen}`, and metrics are served on loopback alone")
    return address


def _uid(name: str) -> int:
    if name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ConfigError(f"`greenroom.metrics_users` names `{name}`, and there is no such user") from None
