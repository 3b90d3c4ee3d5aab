"""The revision of MCP that a request belongs to, on which the form of its answer depends."""

from collections.abc import Callable

from greenroom.protocol.jsonrpc import Request
from greenroom.protocol.mcp.handshake import knows_titles
from greenroom.protocol.mcp.peer import McpPeer


class ProtocolVersion:
    """The revisions of one connection."""

    def __init__(self, peer: McpPeer, agreed: Callable[[], str | None]) -> None:
        """`agreed` returns the revision of the handshake."""
        self._peer = peer
        self._agreed = agreed

    def is_handshake(self, request: Request) -> bool:
        """Tell whether a request came in an era that begins with a handshake."""
        return self._peer.envelope_of(request) is None

    def has_titles(self, request: Request) -> bool:
        """Tell whether objects may have a title beside their name."""
        return not self.is_handshake(request) or knows_titles(self._agreed())
