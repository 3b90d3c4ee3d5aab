"""One session: a client of the revisions with a handshake, from `initialize` to its end, over many HTTP connections."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, NewType

from greenroom.protocol.jsonrpc import Request, error_line
from greenroom.protocol.mcp.handshake import BATCH_VERSIONS
from greenroom.supervisor.frontend.connection import Connection
from greenroom.supervisor.frontend.http.event_log import EventId, EventLog
from greenroom.supervisor.frontend.http.posted import Posted, refuse_batch
from greenroom.supervisor.frontend.http.refusal import RefusedRequest
from greenroom.supervisor.frontend.http.request_head import LAST_EVENT_ID, VERSION, RequestHead
from greenroom.supervisor.frontend.http.streams import ClientStreams, StreamLimits
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.frontend.session_state import SessionState

SessionId = NewType("SessionId", str)

PRIMED_SINCE: Final = "2025-11-25"
"""The revision in which a stream begins with an event that has only an id."""
OVERLOADED: Final = -32000
SPARE: Final = 16
"""HTTP requests that may be under way beside those whose answers are waited for: cancellations, answers, streams."""


class Session:
    """Made for a post of `initialize`. Must be made on the running loop."""

    def __init__(
        self,
        session_id: SessionId,
        front: Front,
        limits: StreamLimits,
        most_requests: int,
        on_close: Callable[["Session"], None],
    ) -> None:
        """`most_requests` may be open at a time; `on_close` is called when its connection is closed."""
        self.id = session_id
        self.streams = ClientStreams(limits, partial(on_close, self))
        self._front = front
        self._most_requests = most_requests
        self._loop = asyncio.get_running_loop()
        self.moved: asyncio.Event | None = None
        """Set once another process has taken the session over, or has failed to; `None` while it is served here."""
        self._visits = 0
        self._left_at = self._loop.time()
        front.channel.send_in_streams(self.streams)

    @property
    def version(self) -> str | None:
        """The revision that was agreed on; `None` where `initialize` has failed."""
        return self._front.version

    @property
    def is_primed(self) -> bool:
        """Whether streams begin with an event that has only an id."""
        return (self.version or "") >= PRIMED_SINCE

    def connection(self) -> Connection:
        """Return the connection for the server."""
        return Connection(self._front, self.streams.open_transport)

    def enter(self) -> None:
        """Note that an HTTP request for it begins. Raises `RefusedRequest` where too many are under way."""
        if self._visits >= self._most_requests + SPARE:
            text = f"overloaded: {self._visits} HTTP requests of this session are under way; try again later"
            raise RefusedRequest(429, text, OVERLOADED, headers={"Retry-After": "1"})
        self._visits += 1

    def leave(self) -> None:
        """Note that an HTTP request for it has ended."""
        self._visits -= 1
        self._left_at = self._loop.time()

    def idle_s(self) -> float:
        """Return the seconds since the last HTTP request; 0 while there is one."""
        return 0.0 if self._visits else self._loop.time() - self._left_at

    def check(self, head: RequestHead) -> None:
        """Check that a request is of the revision that was agreed on. Raises `RefusedRequest`."""
        version = head.one(VERSION)
        if version not in (None, self.version):
            raise RefusedRequest(400, f"Bad Request: this session uses MCP {self.version}, not the revision named")

    def post(self, posted: Posted) -> EventLog | None:
        """Handle messages; return the stream of the answers, `None` if there is nothing to answer."""
        if posted.is_batch and self.version not in BATCH_VERSIONS:
            raise refuse_batch()
        requests = posted.requests
        self._check_requests(posted, requests)
        stream = self.streams.begin([request.id for request in requests]) if requests else None
        if stream is not None:
            now = self._loop.time()
            for malformed in posted.malformed:
                stream.add(malformed.reply.rstrip(), now, is_vital=True)
        for message in posted.messages:
            self._front.take(message)
        return stream

    def resumed(self, head: RequestHead) -> tuple[EventLog, int]:
        """Return the stream that a GET asks for, and the number of the last event that its client has.

        Raises `RefusedRequest`.
        """
        text = head.one(LAST_EVENT_ID)
        if not text:
            if self.streams.standing.is_read:
                raise RefusedRequest(
                    409, "Conflict: this session has its stream already; continue it with its event id"
                )
            return self.streams.standing, 0
        event_id = EventId.parse(text)
        stream = None if event_id is None else self.streams.find(event_id.stream)
        if event_id is None or (stream is not None and event_id.number > stream.last):
            raise RefusedRequest(400, "Bad Request: Last-Event-ID is no event of this session")
        if stream is None:
            raise RefusedRequest(410, "Gone: the stream of this event is not kept any more")
        return stream, event_id.number

    def state(self) -> SessionState | None:
        """Return the state in which another process serves it on; `None` while something of it is open."""
        front = self._front.state() if self.streams.is_at_rest else None
        if front is None or not self.streams.is_at_rest:
            return None
        next_stream, logs = self.streams.state()
        return SessionState(self.id, front, next_stream, self.idle_s(), logs)

    def resume(self, state: SessionState) -> None:
        """Serve a session on as another process has left it; to be called before its `connection` is attached."""
        self._front.resume(state.front)
        self.streams.restore(state.next_stream, state.logs)
        self._left_at -= state.idle_s

    def end(self) -> None:
        """End it: the client has left, and will not come back."""
        self.streams.end()

    def _check_requests(self, posted: Posted, requests: list[Request]) -> None:
        for request in requests:
            if self.streams.is_open(request.id):
                text = "Invalid Request: a request with this id is still open"
                raise RefusedRequest(400, text, raw_id=request.raw_id)
            if request.method == "initialize" and posted.is_batch:
                raise RefusedRequest(400, "Invalid Request: initialize is not part of a batch", raw_id=request.raw_id)
        if self.streams.open_requests + len(requests) > self._most_requests and requests:
            text = f"overloaded: {self.streams.open_requests} requests of this session are open; try again later"
            refusal = RefusedRequest(429, text, OVERLOADED, headers={"Retry-After": "1"})
            refusal.body = error_line(requests[0].raw_id, OVERLOADED, text).rstrip()
            raise refusal
