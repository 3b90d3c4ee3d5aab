"""A JSON-RPC peer whose lines have no member `jsonrpc`, as clients of this protocol read and write them."""

from collections.abc import Iterator
from typing import Final

from greenroom.protocol.jsonrpc import JsonRpcMessage, Malformed, Request, RequestId, encode
from greenroom.protocol.mcp.peer import McpPeer

_VERSIONED: Final = b'{"jsonrpc":"2.0",'


class AppServerPeer(McpPeer):
    """This side of one client's connection. Its requests have no envelope, and none of them can be given up."""

    def receive(self, data: bytes) -> Iterator[JsonRpcMessage]:
        """Yield the messages that `data` completes, in order."""
        yield from map(_bare_reply, super().receive(data))

    def receive_end(self) -> Iterator[JsonRpcMessage]:
        """Yield the message in an unterminated last line."""
        yield from map(_bare_reply, super().receive_end())

    def respond(self, request: Request, result: bytes) -> bytes:
        """Return the line that answers `request`. Raises `LocalProtocolError` if it was answered before."""
        return _bare(super().respond(request, result))

    def fail(self, request: Request, code: int, message: str, data: object = None) -> bytes:
        """Return the line that rejects `request`. Raises `LocalProtocolError` if it was answered before."""
        return _bare(super().fail(request, code, message, data))

    def request(self, method: str, params: bytes) -> tuple[RequestId, bytes]:
        """Return a fresh id and the line of a request of this side. Ids count up from 0; `params` is JSON."""
        request_id, line = super().request(method, params)
        return request_id, _bare(line)


def timed_notification_line(method: str, params: bytes, at_ms: int) -> bytes:
    """Return the line of a notification that is sent at a time, in milliseconds since the epoch."""
    return b'{"method":%b,"params":%b,"emittedAtMs":%d}\n' % (encode(method), params, at_ms)


def _bare(line: bytes) -> bytes:
    return b"{" + line.removeprefix(_VERSIONED) if line.startswith(_VERSIONED) else line


def _bare_reply(message: JsonRpcMessage) -> JsonRpcMessage:
    return Malformed(_bare(message.reply), message.reason) if isinstance(message, Malformed) else message
