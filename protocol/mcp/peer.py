"""A JSON-RPC peer that knows the MCP era of each request, and answers it in that era's form.

In the eras with a handshake a cancelled request is answered like any other: clients that have given up ignore the
answer, and others can continue. In the era without a handshake nothing may be sent for it after that.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from greenroom.protocol.jsonrpc import MAX_LINE, Peer, Request, RequestId
from greenroom.protocol.mcp.handshake import server_info
from greenroom.protocol.version import __version__

if TYPE_CHECKING:
    from greenroom.protocol.mcp.stateless import RequestEnvelope


class McpPeer(Peer):
    """This side of one client's connection."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        super().__init__(max_line)
        self._envelopes: dict[RequestId, RequestEnvelope] = {}
        self._given_up: set[RequestId] = set()
        self._dressed: set[RequestId] = set()
        self.drops_events = False
        """Whether the client drops `codex/event` (`greenroom.protocol.mcp.handshake.drops_events`)."""
        self._server: Mapping[str, object] = server_info(__version__)

    def enter(self, request: Request, envelope: "RequestEnvelope") -> None:
        """Record that a request came without a handshake, and what it says about its client."""
        self._envelopes[request.id] = envelope

    def envelope_of(self, request: Request) -> "RequestEnvelope | None":
        """Return what an open request says about its client, `None` if the handshake did."""
        return self._envelopes.get(request.id)

    def complete(self, request: Request) -> None:
        """Record that the result of a request without a handshake is complete: nothing is to be added to it."""
        self._dressed.add(request.id)

    def give_up(self, request_id: RequestId) -> None:
        """Record that the client has cancelled a request, if its era forbids answering it then."""
        if request_id in self._envelopes:
            self._given_up.add(request_id)

    def respond(self, request: Request, result: bytes) -> bytes:
        """Return the line that answers `request`, or nothing. Raises `LocalProtocolError` if it was answered before."""
        if request.id in self._dressed:
            self._dressed.remove(request.id)
        elif request.id in self._envelopes:
            from greenroom.protocol.mcp.stateless import dress

            result = dress(request.method, result, self._server)
        line = super().respond(request, result)
        return self._unless_given_up(request, line)

    def fail(self, request: Request, code: int, message: str, data: object = None) -> bytes:
        """Return the line that rejects `request`, or nothing. Raises `LocalProtocolError` if it was answered before."""
        line = super().fail(request, code, message, data)
        return self._unless_given_up(request, line)

    def _unless_given_up(self, request: Request, line: bytes) -> bytes:
        self._envelopes.pop(request.id, None)
        if request.id in self._given_up:
            self._given_up.remove(request.id)
            return b""
        return line
