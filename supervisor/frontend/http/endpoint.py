"""The one resource of the server: POST brings messages, GET carries a stream, DELETE ends a session."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import msgspec
from aiohttp import web

from greenroom.config.tables.http import MIB, HttpTable
from greenroom.protocol.jsonrpc import Request
from greenroom.supervisor.frontend.http.event_log import EventLog
from greenroom.supervisor.frontend.http.forwarder import MARK, NO_SESSION, Forwarder
from greenroom.supervisor.frontend.http.guard import Guard
from greenroom.supervisor.frontend.http.posted import (
    EVENT_STREAM,
    Posted,
    accepts,
    check_form,
    is_stateless,
    read_body,
)
from greenroom.supervisor.frontend.http.refusal import STATUS_BY_CODE, RefusedRequest
from greenroom.supervisor.frontend.http.request_head import SESSION_ID, RequestHead
from greenroom.supervisor.frontend.http.responses import (
    NO_STORE,
    StreamForm,
    begin_stream,
    first_answer,
    json_response,
    refusal_response,
    send_stream,
)
from greenroom.supervisor.frontend.http.session import Session
from greenroom.supervisor.frontend.http.sessions import Sessions
from greenroom.supervisor.frontend.http.stateless import StatelessClients

PATH: Final = "/mcp"
PATIENCE: Final = 1.0
"""Seconds after which a request that is not answered yet gets a stream. A call gets one at once."""
NO_IDS: Final = StreamForm(has_ids=False)

Handler = Callable[[web.BaseRequest, RequestHead], Awaitable[web.StreamResponse]]


class HttpEndpoint:
    """Handles HTTP requests."""

    def __init__(self, guard: Guard, sessions: Sessions, stateless: StatelessClients, settings: HttpTable) -> None:
        self._guard, self._sessions, self._stateless, self._settings = guard, sessions, stateless, settings
        self.elsewhere: Forwarder | None = None
        """The way to another host, which replaces this one or is replaced by it."""
        self.is_replaced = False
        """Whether what begins belongs to the other host."""
        self.on_rest: Callable[[], object] | None = None
        """Called when an answer of a session was sent."""
        self._methods: Mapping[str, Handler] = {"POST": self._post, "GET": self._get, "DELETE": self._delete}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        try:
            head = RequestHead(request.method, request.rel_url.path, request.headers.items())
            if _comes_from_another_host(request):
                self._guard.check_bearer(head)  # the rest was checked there, for another address perhaps
            else:
                self._guard.check(head)
            if head.path != PATH:
                raise RefusedRequest(404, f"Not Found: MCP is served at {PATH}")
            method = self._methods.get(head.method)
            if method is None:
                raise RefusedRequest(405, "Method Not Allowed", headers={"Allow": "GET, POST, DELETE"})
            response = await method(request, head)
        except RefusedRequest as refusal:
            return refusal_response(refusal)
        if self.is_replaced and not response.prepared:  # else its head has not announced that, and clients rely on it
            response.force_close()
        return response

    async def _post(self, request: web.BaseRequest, head: RequestHead) -> web.StreamResponse:
        check_form(head)
        body = await self._read(request)
        posted = read_body(body)
        if is_stateless(head, posted):
            other = self._other_for(head, posted)
            if other is not None and (answer := await other.pass_on(request, body)) is not None:
                return answer
            return await self._post_stateless(request, head, posted)
        only = posted.only
        if isinstance(only, Request) and only.method == "initialize" and not head.one(SESSION_ID):
            other = self._other(head) if self.is_replaced else None
            if other is not None and (answer := await other.pass_on(request, body)) is not None:
                return answer
            return self._open(posted)
        session = await self._find(request, head, body)
        if not isinstance(session, Session):
            return session
        session.check(head)
        session.enter()
        try:
            session.streams.was_received(len(body))
            return await self._answer(request, session, posted)
        finally:
            session.leave()
            if self.on_rest is not None:
                asyncio.get_running_loop().call_soon(self.on_rest)

    def _open(self, posted: Posted) -> web.StreamResponse:
        """Answer `initialize`, which is answered at once."""
        session, stream = self._sessions.open(posted)
        reader, _ = session.streams.read(stream, 0)
        (answer,) = reader.take()
        session.streams.let_go(stream, reader)
        session.streams.forget(stream)
        response = json_response(answer.data)
        if session.version is not None:
            response.headers[SESSION_ID] = session.id
        return response

    async def _answer(self, request: web.BaseRequest, session: Session, posted: Posted) -> web.StreamResponse:
        stream = session.post(posted)
        if stream is None:
            return web.Response(status=202, headers=NO_STORE)
        streams = session.streams
        reader, _ = streams.read(stream, 0)
        try:
            if not posted.is_batch:
                patience = 0.0 if posted.requests[0].method == "tools/call" else PATIENCE
                answer = await first_answer(stream, reader, patience)
                if answer is not None:
                    streams.forget(stream)
                    return json_response(answer.data)
            form = self._form(session)
            response = await begin_stream(request, stream, form, 0, 0)
            await send_stream(request, response, stream, reader, form)
        finally:
            streams.let_go(stream, reader)
        await _end(response)
        return response

    async def _post_stateless(self, request: web.BaseRequest, head: RequestHead, posted: Posted) -> web.StreamResponse:
        begun = self._stateless.post(head, posted)
        if begun is None:
            return web.Response(status=202, headers=NO_STORE)
        stream, call = begun
        streams = self._stateless.streams
        reader, _ = streams.read(stream, 0)
        try:
            answer = await first_answer(stream, reader, PATIENCE)
            if answer is not None:
                return json_response(answer.data, _status(answer.data))
            response = await begin_stream(request, stream, NO_IDS._replace(closes=self.is_replaced), 0, 0)
            await send_stream(request, response, stream, reader, NO_IDS)
        finally:
            self._stateless.cancel(call)
            streams.let_go(stream, reader)
            streams.forget(stream)
        await _end(response)
        return response

    async def _get(self, request: web.BaseRequest, head: RequestHead) -> web.StreamResponse:
        if not accepts(head, EVENT_STREAM):
            raise RefusedRequest(406, f"Not Acceptable: the header Accept must name {EVENT_STREAM}")
        session = await self._session_of(request, head)
        if not isinstance(session, Session):
            return session
        session.enter()
        try:
            stream, after = session.resumed(head)
            return await self._carry(request, session, stream, after)
        finally:
            session.leave()

    async def _carry(
        self, request: web.BaseRequest, session: Session, stream: EventLog, after: int
    ) -> web.StreamResponse:
        """Send a stream from an event on."""
        reader, lost = session.streams.read(stream, after)
        form = self._form(session)
        try:
            response = await begin_stream(request, stream, form, after, lost)
            await send_stream(request, response, stream, reader, form)
        finally:
            session.streams.let_go(stream, reader)
        await _end(response)
        return response

    async def _delete(self, request: web.BaseRequest, head: RequestHead) -> web.StreamResponse:
        session = await self._session_of(request, head)
        if not isinstance(session, Session):
            return session
        self._sessions.end(session)
        return web.Response(status=204, headers=NO_STORE)

    async def _session_of(self, request: web.BaseRequest, head: RequestHead) -> Session | web.StreamResponse:
        if is_stateless(head, None):
            raise RefusedRequest(405, "Method Not Allowed: this revision has no sessions", headers={"Allow": "POST"})
        session = await self._find(request, head, None)
        if isinstance(session, Session):
            session.check(head)
        return session

    async def _find(
        self, request: web.BaseRequest, head: RequestHead, body: bytes | None
    ) -> Session | web.StreamResponse:
        """Return the session of a request, or the answer of the host that has it. Raises `RefusedRequest`."""
        while True:
            try:
                session = self._sessions.find(head)
            except RefusedRequest as refusal:
                return await self._find_elsewhere(request, head, body, refusal)
            if session.moved is None:
                return session
            await session.moved.wait()

    async def _find_elsewhere(
        self, request: web.BaseRequest, head: RequestHead, body: bytes | None, refusal: RefusedRequest
    ) -> Session | web.StreamResponse:
        if refusal.status != NO_SESSION:
            raise refusal
        if not Forwarder.may_pass(head):
            refusal.headers = {MARK: "1"}
            raise refusal
        answer = None if self.elsewhere is None else await self.elsewhere.pass_on(request, body)
        return self._sessions.find(head) if answer is None else answer  # it may have come from there meanwhile

    def _other(self, head: RequestHead) -> Forwarder | None:
        """Return the way to another host, if there is one, and the request does not come from there."""
        return self.elsewhere if self.elsewhere is not None and Forwarder.may_pass(head) else None

    def _other_for(self, head: RequestHead, posted: Posted) -> Forwarder | None:
        """Return the same for a request without a session; `None` where it belongs here."""
        other, only = self._other(head), posted.only
        if other is None or not isinstance(only, Request):
            return None
        is_here = self._stateless.is_here(only)
        return other if is_here is False or (is_here is None and self.is_replaced) else None

    def _form(self, session: Session) -> StreamForm:
        lifetime = self._settings.stream_lifetime_s if session.is_primed else 0.0
        return StreamForm(is_primed=session.is_primed, lifetime_s=lifetime, closes=self.is_replaced)

    async def _read(self, request: web.BaseRequest) -> bytes:
        if (request.content_length or 0) > self._settings.body_mb * MIB:
            raise self._too_large()
        if (request.headers.get("Expect") or "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                return await request.read()
        except TimeoutError:
            text = f"Request Timeout: the body did not arrive within {self._settings.body_timeout_s:g} s"
            raise RefusedRequest(408, text) from None
        except web.HTTPRequestEntityTooLarge:
            raise self._too_large() from None
        except web.RequestPayloadError:
            raise RefusedRequest(400, "Bad Request: the body is not sent as its head says") from None

    def _too_large(self) -> RefusedRequest:
        text = f"Content Too Large: a body may have {self._settings.body_mb} MiB (greenroom.http.body_mb)"
        return RefusedRequest(413, text)


class _Error(msgspec.Struct):
    code: int


class _Answer(msgspec.Struct):
    error: _Error | None = None


def _status(answer: bytes) -> int:
    """Return the status of an answer of the revision without sessions."""
    error = msgspec.json.decode(answer, type=_Answer).error
    return 200 if error is None else STATUS_BY_CODE.get(error.code, 200)


def _comes_from_another_host(request: web.BaseRequest) -> bool:
    """Tell whether a request was passed on, over the Unix socket of this host."""
    connected = None if request.transport is None else request.transport.get_extra_info("socket")
    return connected is not None and connected.family == socket.AF_UNIX


async def _end(response: web.StreamResponse) -> None:
    """End a stream, unless its client has left; that may come back with the id of its last event."""
    with suppress(ConnectionError):
        await response.write_eof()
