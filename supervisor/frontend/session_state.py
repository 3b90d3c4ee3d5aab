"""A session over HTTP at rest, in the form in which another process takes it over."""

import msgspec

from greenroom.supervisor.frontend.mcp.front_state import FrontState


class EventState(msgspec.Struct, frozen=True, array_like=True):
    """An event that is kept (`greenroom.supervisor.frontend.http.event_log.LoggedEvent`)."""

    number: int
    data: bytes
    age: float
    """Seconds since it was added."""
    is_vital: bool


class LogState(msgspec.Struct, frozen=True):
    """A stream."""

    number: int
    last: int
    furthest: int
    finished_age: float | None
    """Seconds since it was finished; `None`: it is not."""
    events: list[EventState]


class SessionState(msgspec.Struct, frozen=True):
    """The session."""

    id: str
    front: FrontState
    next_stream: int
    idle_s: float
    """Seconds since its last request."""
    logs: list[LogState]
