"""What a connection needs to know of the way to its server, whatever that way is."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcp.client import Transport as Streams

MESSAGE_LIMIT = 8 * 1024 * 1024
"""Bytes of one message from a server; a longer one ends the connection or the request."""


class Transport(Protocol):
    """One way to one server."""

    pauses: tuple[float, ...]
    """Seconds to wait before each further attempt to start, where the first fails for a reason that may pass."""

    def open(self) -> "Streams":
        """Return the streams of one attempt, to be entered once."""
        ...

    async def cause(self) -> str | None:
        """Say what became of the server, where it is known that it failed."""
        ...

    async def gone(self) -> None:
        """Return once the server has gone, for whatever reason."""
        ...

    @property
    def expired(self) -> bool:
        """Whether the server has said that it no longer knows this connection: what was asked has not been done."""
        ...

    @property
    def refusal(self) -> str | None:
        """What the user can do where the server has just refused a request for want of a right."""
        ...

    @property
    def may_pass(self) -> bool:
        """Whether another attempt may go better."""
        ...
