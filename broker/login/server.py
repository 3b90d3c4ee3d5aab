"""The local HTTP server of a browser login, and its ports, which other programs use too (docs/security.md, K32)."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from greenroom.broker.login.page import HEADERS, PageRequest, PageResponse
from greenroom.protocol.errors import GreenroomError

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

PORTS: Final = (1455, 1457)
"""The ports to which the issuer redirects browsers."""
ATTEMPTS: Final = 10
PAUSE: Final = 0.2
"""Seconds between two attempts to bind a port whose holder was asked to leave."""
CANCEL_TIMEOUT: Final = 2.0
HOST: Final = "127.0.0.1"

_SILENT: Final = logging.getLogger(f"{__name__}.aiohttp")
_SILENT.disabled = True
"""What aiohttp would log of a request holds its address, and so code and state."""

Handle = Callable[[PageRequest], Awaitable[PageResponse]]


class PortsTakenError(GreenroomError):
    """Another program listens on every port that a login can use."""


class LoginServer:
    """A server that is bound to the loopback interface and answers one request per connection."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        self._runner: web.ServerRunner | None = None
        self.port: int = sockets[0].getsockname()[1]

    @classmethod
    async def bind(cls, ports: Sequence[int] = PORTS) -> Self:
        """Bind the first port that is, or becomes, free. Raises `PortsTakenError`."""
        for port in ports:
            if (bound := _try(port)) is not None:
                return cls(bound)
            await _ask_to_leave(port)
            for _ in range(ATTEMPTS):
                await asyncio.sleep(PAUSE)
                if (bound := _try(port)) is not None:
                    return cls(bound)
        raise PortsTakenError(f"Port {HOST}:{ports[-1]} is already in use")

    async def serve(self, handle: Handle) -> None:
        """Answer requests from now on."""
        from aiohttp import web

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            asked = PageRequest(
                request.path,
                dict(request.query.items()),
                request.headers.get("Host", ""),
                request.headers.get("Origin"),
                request.method,
                request.headers.get("Sec-Fetch-Site"),
                "Referer" in request.headers or request.headers.get("User-Agent", "").startswith("Mozilla/"),
            )
            try:
                response = await handle(asked)
            except Exception as error:
                log.error("the login page broke off: %s", type(error).__name__)
                response = PageResponse(500, "Internal Server Error")
            headers = {**HEADERS, "Content-Type": response.content_type}
            if response.location is not None:
                headers["Location"] = response.location
            return web.Response(status=response.status, text=response.body, headers=headers)

        self._runner = web.ServerRunner(web.Server(answer, access_log=None, logger=_SILENT), shutdown_timeout=1.0)
        await self._runner.setup()
        for bound in self._sockets:
            await web.SockSite(self._runner, bound).start()

    async def close(self) -> None:
        """Stop listening; the port is free afterwards."""
        if self._runner is not None:
            await self._runner.cleanup()
        for bound in self._sockets:
            bound.close()


def _try(port: int) -> list[socket.socket] | None:
    """Return sockets that listen on the port, on IPv6 too where there is such an interface."""
    try:
        first = _listening(socket.AF_INET, (HOST, port))
    except OSError:
        return None
    bound = [first]
    with suppress(OSError):
        bound.append(_listening(socket.AF_INET6, ("::1", first.getsockname()[1])))
    return bound


def _listening(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(16)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


async def _ask_to_leave(port: int) -> None:
    """Ask another program's login on this port to end."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CANCEL_TIMEOUT):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(f"GET /cancel HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
                await reader.read(64 * 1024)
            finally:
                writer.close()
