"""The table `[greenroom.http]`: where a host is reached over HTTP, by whom, and its limits there."""

from typing import Annotated, Final

from msgspec import Meta

from greenroom.config.section import OwnSection

KIB: Final = 1024
MIB: Final = 1024 * KIB


class HttpTable(OwnSection, frozen=True):
    """The table itself. HTTP is off without `listen`."""

    listen: str | None = None
    """`[HOST:]PORT`; a port alone is on loopback."""
    hosts: tuple[str, ...] = ()
    """Values of the header `Host` that are taken beside those of the address itself, such as the name of a proxy."""
    origins: tuple[str, ...] = ()
    """Values of the header `Origin` that are taken beside those of the address itself."""
    connections: Annotated[int, Meta(ge=1)] = 1000
    """TCP connections at a time."""
    sessions: Annotated[int, Meta(ge=1)] = 200
    """Sessions at a time."""
    session_idle_s: Annotated[float, Meta(gt=0.0)] = 3600.0
    """Seconds without any request after which a session ends, with the calls under way in it."""
    open_requests: Annotated[int, Meta(ge=1)] = 64
    """Requests of one session that wait for their answers at a time."""
    stateless_requests: Annotated[int, Meta(ge=1)] = 1000
    """The same for all clients without sessions (MCP 2026-07-28) together."""
    body_mb: Annotated[int, Meta(ge=1, le=256)] = 16
    """Mebibytes of the body of a request."""
    body_timeout_s: Annotated[float, Meta(gt=0.0)] = 60.0
    """Seconds for the body of a request."""
    header_kb: Annotated[int, Meta(ge=1, le=1024)] = 8
    """Kibibytes of the request line, and of one header field; there may be 100 of these."""
    header_timeout_s: Annotated[float, Meta(gt=0.0)] = 30.0
    """Seconds for the head of a request, from the connection's start or from the last answer on."""
    stream_lifetime_s: Annotated[float, Meta(ge=0.0)] = 0.0
    """Seconds after which a stream is interrupted where clients know how to continue it (2025-11-25); 0: never."""
    keep_streams: Annotated[int, Meta(ge=0)] = 100
    """Answered streams of one session that are kept for a client that comes back."""
    keep_kb: Annotated[int, Meta(ge=1)] = 1024
    """Kibibytes of one stream that are kept for a client that comes back, beside its answer and open questions."""
    keep_s: Annotated[float, Meta(gt=0.0)] = 600.0
    """Seconds for which they are kept."""
    keep_session_mb: Annotated[int, Meta(ge=1)] = 16
    """Mebibytes of all streams of one session that are kept; answered streams beyond that go, the oldest first."""
