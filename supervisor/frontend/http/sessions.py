"""All sessions: unguessable ids, a limited number, and the end of those that are not used any more."""

import asyncio
import logging
from collections.abc import Callable
from secrets import token_urlsafe
from typing import Final

from greenroom.supervisor.frontend.http.event_log import EventLog
from greenroom.supervisor.frontend.http.posted import Posted
from greenroom.supervisor.frontend.http.refusal import RefusedRequest
from greenroom.supervisor.frontend.http.request_head import SESSION_ID, RequestHead
from greenroom.supervisor.frontend.http.session import OVERLOADED, Session, SessionId
from greenroom.supervisor.frontend.http.streams import StreamLimits
from greenroom.supervisor.frontend.listener import ClientIntake
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.frontend.session_state import SessionState

log = logging.getLogger(__name__)

ID_SIZE: Final = 24
"""Bytes of randomness of a session's id."""
SWEEP: Final = 15.0
"""Seconds between two looks at what is over, at most."""


class Sessions:
    """The sessions of one host. Must be made on the running loop; `close` it at the end."""

    def __init__(
        self,
        make_front: Callable[[], Front],
        intake: ClientIntake,
        limits: StreamLimits,
        most: int,
        most_requests: int,
        idle_s: float,
    ) -> None:
        """`most` sessions with `most_requests` open requests each; one ends after `idle_s` without a request."""
        self._make_front, self._intake = make_front, intake
        self._limits, self._most, self._most_requests, self._idle_s = limits, most, most_requests, idle_s
        self.is_closing = False
        """Whether no further ones are opened."""
        self._table: dict[SessionId, Session] = {}
        self._loop = asyncio.get_running_loop()
        self._interval = min(SWEEP, idle_s / 4, limits.stream_s / 4)
        self._timer = self._loop.call_later(self._interval, self._sweep)

    def __len__(self) -> int:
        return len(self._table)

    def open(self, posted: Posted) -> tuple[Session, EventLog]:
        """Open a session with a post of `initialize`; return the stream of its answer. Raises `RefusedRequest`.

        Where `initialize` fails the session is not entered.
        """
        if len(self._table) >= self._most:
            raise _overloaded(f"{len(self._table)} sessions are open (greenroom.http.sessions)")
        if self.is_closing or (reason := self._intake.refusal()) is not None:
            raise _overloaded("the server is shutting down" if self.is_closing else reason or "")
        session_id = SessionId(token_urlsafe(ID_SIZE))
        session = Session(session_id, self._make_front(), self._limits, self._most_requests, self._closed)
        stream = session.post(posted)
        assert stream is not None, "initialize is a request"
        if session.version is not None:
            self._table[session.id] = session
            self._intake.attach(session.connection())
        return session, stream

    def find(self, head: RequestHead) -> Session:
        """Return the session of a request. Raises `RefusedRequest`."""
        text = head.one(SESSION_ID)
        if not text:
            raise RefusedRequest(400, "Bad Request: the header Mcp-Session-Id is missing; begin with initialize")
        session = self._table.get(SessionId(text))
        if session is None:
            raise RefusedRequest(404, "Not Found: this session does not exist, or has ended; begin with initialize")
        return session

    def take_over(self, state: SessionState) -> None:
        """Serve a session of another process on."""
        session = Session(SessionId(state.id), self._make_front(), self._limits, self._most_requests, self._closed)
        session.resume(state)
        self._table[session.id] = session
        self._intake.attach(session.connection())

    def give_away(self) -> list[SessionState]:
        """Return those at rest, for another process; requests for them wait until `given`."""
        states: list[SessionState] = []
        for session in self._table.values():
            if session.moved is None and (state := session.state()) is not None:
                session.moved = asyncio.Event()
                states.append(state)
        return states

    def given(self, session_id: str) -> None:
        """End a session here, which another process serves on."""
        session = self._table.get(SessionId(session_id))
        if session is not None and session.moved is not None:
            self.end(session)
            session.moved.set()

    def keep_all(self) -> None:
        """Serve on those that were to be given away: the other process is gone."""
        for session in self._table.values():
            if session.moved is not None:
                moved, session.moved = session.moved, None
                moved.set()

    def end(self, session: Session) -> None:
        """End a session, and the calls under way in it."""
        if self._table.pop(session.id, None) is not None:
            session.end()

    def _closed(self, session: Session) -> None:
        """Forget a session whose connection is closed, also where its client has not asked for that."""
        self._table.pop(session.id, None)

    def close(self) -> None:
        """Look no more at what is over. The server closes the connections."""
        self._timer.cancel()

    def _sweep(self) -> None:
        for session in list(self._table.values()):
            session.streams.tidy()
            if session.idle_s() >= self._idle_s:
                log.info("a session over HTTP has ended: it was not used for %g s", self._idle_s)
                self.end(session)
        self._timer = self._loop.call_later(self._interval, self._sweep)


def _overloaded(reason: str) -> RefusedRequest:
    return RefusedRequest(503, f"overloaded: {reason}; try again later", OVERLOADED, headers={"Retry-After": "10"})
