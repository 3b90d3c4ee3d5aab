"""The interface of a transport to a server."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcp.client import Transport as Streams

MESSAGE_LIMIT = 8 * 1024 * 1024
"""Maximum bytes of one message from a server; a longer one ends the connection or the request."""


class McpTransport(Protocol):
    """One transport to one server."""

    pauses: tuple[float, ...]
    """Seconds to wait before each further attempt to start, if the first fails for a transient reason."""

    def open(self) -> "Streams":
        """Return the streams of one attempt, to be entered once."""
        ...

    async def cause(self) -> str | None:
        """Describe how the server failed, if that is known."""
        ...

    async def gone(self) -> None:
        """Return once the server has ended, for whatever reason."""
        ...

    @property
    def expired(self) -> bool:
        """Whether the server has reported that it no longer knows this connection, so that the request was not
        executed."""
        ...

    @property
    def refusal(self) -> str | None:
        """Advice for the user if the server has just rejected a request for lack of rights."""
        ...

    @property
    def may_pass(self) -> bool:
        """Whether another attempt may succeed."""
        ...
