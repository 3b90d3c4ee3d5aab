"""Serves the page to its user on loopback: its files, what changes, a conversation as it grows, and orders.

Every answer says that it may not be framed, kept, or read by another origin, and that nothing of another host and no
script within the page is run.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final
from uuid import UUID

import msgspec
from aiohttp import web

from greenroom.config.tables.http import HttpTable
from greenroom.protocol.ids import ConversationId
from greenroom.runtime.sockets.tcp_owner import owner_of_peer
from greenroom.supervisor.cli.dashboard.access import Access
from greenroom.supervisor.cli.dashboard.assets import load_assets
from greenroom.supervisor.cli.dashboard.collector import Collector
from greenroom.supervisor.cli.dashboard.orders import LARGEST, Find, carry_out, read_order
from greenroom.supervisor.cli.dashboard.transcript import TranscriptReader
from greenroom.supervisor.cli.dashboard.watch import Watch
from greenroom.supervisor.frontend.http.address import ListenAddress
from greenroom.supervisor.frontend.http.listener import HttpServer, bound_socket
from greenroom.supervisor.frontend.http.posted import EVENT_STREAM
from greenroom.supervisor.frontend.http.refusal import RefusedRequest
from greenroom.supervisor.frontend.http.request_head import RequestHead

MOST_STREAMS: Final = 32
"""Streams at a time, of all pages."""
LIMITS: Final = HttpTable(connections=128, header_timeout_s=10.0, body_mb=1)
BODY_TIMEOUT: Final = 10.0
KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a comment is sent, by which a page that is gone is noticed."""
FOLLOWED: Final = 1.0
"""Seconds between two looks at a session file that a page shows."""
BEAT: Final = 0.1
"""Seconds between two times at which a page is told what is being written."""
END: Final = 0.1
"""Seconds that an answer under way has at the end; a stream is then broken off."""
TOKEN: Final = "token"
EVENTS, TRANSCRIPT, ORDERS = "/events", "/transcript", "/orders"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.BaseRequest, RequestHead], Awaitable[web.StreamResponse]]
_encode: Final = msgspec.json.Encoder().encode


class DashboardServer:
    """One dashboard. `start` it on the running loop, and `close` it."""

    def __init__(self, port: int, collector: Collector, find: Find, *, control: bool = False) -> None:
        """`find` returns the instances that are shown; with `control`, pages may give them orders."""
        self._address = ListenAddress("127.0.0.1", port)
        self._collector, self._find, self._control = collector, find, control
        self._assets = load_assets()
        self._access = Access(self._address)
        self._server: asyncio.Server | None = None
        self._web: HttpServer | None = None
        self._streams = 0
        self._routes: Mapping[tuple[str, str], Handler] = {
            ("GET", EVENTS): self._send_events,
            ("GET", TRANSCRIPT): self._send_transcript,
            ("POST", ORDERS): self._take_order,
        }

    async def start(self) -> None:
        """Listen. Raises `StartError`."""
        listening = bound_socket(self._address)
        self._address = ListenAddress(self._address.host, listening.getsockname()[1])
        self._access = Access(self._address)
        self._web = HttpServer(self.handle, LIMITS, bounds_local=True)
        self._server = await asyncio.get_running_loop().create_server(self._web, sock=listening)

    async def close(self) -> None:
        """Listen no more, and end all connections."""
        if self._server is not None:
            self._server.close()
        if self._web is not None:
            self._web.pre_shutdown()
            await self._web.shutdown(END)

    def new_address(self) -> str:
        """Return an address that is good once; one that was returned before is not good any more."""
        return f"http://{self._address.text}/?{TOKEN}={self._access.issue()}"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        try:
            return await self._answer(request)
        except RefusedRequest as refusal:
            response = web.Response(status=refusal.status, text=f"{refusal}\n", headers={**HEADERS, **refusal.headers})
            response.force_close()
            return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        head = RequestHead(request.method, request.rel_url.path, request.headers.items())
        self._check_owner(request)
        self._access.check_site(head)
        if head.method == "GET" and head.path == "/" and TOKEN in request.rel_url.query:
            return self._let_in(request.rel_url.query[TOKEN])
        self._access.check_session(request.cookies)
        asset = self._assets.get(head.path)
        if asset is not None and head.method == "GET":
            return web.Response(body=asset.content, headers={**HEADERS, "Content-Type": asset.media_type})
        handler = self._routes.get((head.method, head.path))
        if handler is not None:
            return await handler(request, head)
        allowed = [method for method, path in self._routes if path == head.path] + ["GET"] * (asset is not None)
        if allowed:
            raise RefusedRequest(405, "Method Not Allowed", headers={"Allow": ", ".join(allowed)})
        raise RefusedRequest(404, "Not Found")

    def _check_owner(self, request: web.BaseRequest) -> None:
        """Let a request pass that comes from this user. Where the system does not tell, the cookie has to do."""
        transport = request.transport
        if transport is None:
            return  # the connection has ended
        connected: socket.socket = transport.get_extra_info("socket")
        owner = owner_of_peer(connected)
        if owner is not None and owner != os.getuid():
            raise RefusedRequest(403, "Forbidden: the dashboard is for its user")

    def _let_in(self, token: str) -> web.StreamResponse:
        """Begin a session; the page is then loaded without the token in its address."""
        response = web.Response(status=303, headers={**HEADERS, "Location": "/"})
        response.set_cookie(self._access.cookie, self._access.redeem(token), httponly=True, samesite="Strict")
        return response

    # Streams

    async def _send_events(self, request: web.BaseRequest, _: RequestHead) -> web.StreamResponse:
        return await self._send(request, self._events())

    async def _send_transcript(self, request: web.BaseRequest, _: RequestHead) -> web.StreamResponse:
        query = request.rel_url.query
        try:
            pid = int(query.get("instance", ""))
            conversation_id = ConversationId(str(UUID(query.get("conversation", ""))))
        except ValueError:
            raise RefusedRequest(400, "Bad Request: no conversation is named") from None
        for one in await asyncio.to_thread(self._find):
            if one.instance.pid == pid:
                transcript = TranscriptReader(one.instance.codex_home, conversation_id)
                return await self._send(request, _growth(transcript, Watch(one.control, conversation_id)))
        raise RefusedRequest(404, "Not Found: no such instance is running")

    async def _events(self) -> AsyncIterator[bytes]:
        reader, is_first = self._collector.reader(), True
        while True:
            news = await reader.next()
            told: dict[str, object] = {"at": news.at, "changes": news.changes}
            if is_first:
                told |= {"control": self._control, "curves": news.curves}
            is_first = False
            yield _encode(told)

    async def _send(self, request: web.BaseRequest, events: AsyncIterator[bytes]) -> web.StreamResponse:
        """Send events until the page is gone. One that does not read is waited for, and no event is made meanwhile."""
        if self._streams >= MOST_STREAMS:
            raise RefusedRequest(503, "Service Unavailable: too many pages are open")
        self._streams += 1
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": EVENT_STREAM})
        response.enable_chunked_encoding()
        following: asyncio.Task[bytes] | None = None
        try:
            await response.prepare(request)
            while True:
                following = following or asyncio.ensure_future(anext(events))
                done, _ = await asyncio.wait({following}, timeout=KEEP_ALIVE)
                event, following = (following.result(), None) if done else (None, following)
                await response.write(b":\n\n" if event is None else b"data: %b\n\n" % event)
        finally:
            self._streams -= 1
            if following is not None:
                following.cancel()
                await asyncio.wait({following})
            await events.aclose()  # type: ignore[attr-defined] # each is a generator

    # Orders

    async def _take_order(self, request: web.BaseRequest, head: RequestHead) -> web.StreamResponse:
        if not self._control:
            text = "Forbidden: this dashboard only shows; start it with --control to give orders"
            raise RefusedRequest(403, text)
        self._access.check_order(head)
        if request.content_length is None or request.content_length > LARGEST:
            raise RefusedRequest(413, f"Content Too Large: an order has at most {LARGEST} bytes")
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await request.read()
        except TimeoutError:
            raise RefusedRequest(408, "Request Timeout") from None
        outcome = await carry_out(read_order(body), self._find)
        content = _encode({"text": outcome.text})
        return web.Response(
            status=outcome.status, body=content, headers={**HEADERS, "Content-Type": "application/json"}
        )


async def _growth(transcript: TranscriptReader, watch: Watch) -> AsyncIterator[bytes]:
    """Yield what is added to a conversation and what is being written, first all that there is."""
    loop, live = asyncio.get_running_loop(), watch.live
    watching = asyncio.ensure_future(watch.run())
    looked_at, is_first = -FOLLOWED, True
    try:
        while True:
            growth = None
            if live.is_to_be_written or loop.time() - looked_at >= FOLLOWED:
                live.is_to_be_written, looked_at = False, loop.time()
                growth = await asyncio.to_thread(transcript.grown)
                live.written(() if growth is None else growth.entries)
            news = live.news(loop.time())
            if growth is not None or news is not None:
                yield _encode({"growth": growth, "live": news, "is_first": is_first})
                is_first = False
            await watch.change(BEAT, FOLLOWED)
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        transcript.close()
