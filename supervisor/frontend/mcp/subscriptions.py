"""The streams by which a client without a handshake gets notifications; a stream is a request that stays open."""

from collections.abc import Mapping

from greenroom.protocol.jsonrpc import INTERNAL_ERROR, Request, RequestId
from greenroom.protocol.mcp.stateless import CAPABILITIES, MISSING_CLIENT_CAPABILITY, TASKS
from greenroom.protocol.mcp.subscriptions import (
    Filter,
    List,
    acknowledgement,
    closing_result,
    decode_listen,
    honored,
    stream_line,
)
from greenroom.protocol.mcp.tasks import MISSING
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.request_params import RefusedError, read_params

MOST_STREAMS = 100
"""Streams that one client may have open at a time."""


class Subscriptions:
    """The open streams of one connection."""

    def __init__(self, channel: ClientChannel) -> None:
        self._channel = channel
        self._streams: dict[RequestId, tuple[Request, Filter]] = {}
        self.handlers = {"subscriptions/listen": self._listen}

    @property
    def open_streams(self) -> int:
        """Number of streams."""
        return len(self._streams)

    def cancel(self, request_id: RequestId) -> None:
        """End a stream that its client has cancelled; in its era the request is then not answered."""
        if (stream := self._streams.pop(request_id, None)) is not None:
            self._close(stream[0])

    def close(self) -> None:
        """End all streams, and answer their requests.

        The revision asks for `notifications/cancelled` in one place and for the empty result in another. The official
        client treats the former as a lost connection and the latter as a regular end, so only the result is sent.
        """
        for request, _ in self._streams.values():
            self._close(request)
        self._streams.clear()

    def changed(self, name: List) -> None:
        """Notify the streams that want it that a list has changed."""
        for request, agreed in self._streams.values():
            if agreed.wants(name):
                self._send(request, stream_line(request, f"notifications/{name}/list_changed", {}))

    def updated(self, uri: str) -> None:
        """Notify the streams that want it that a resource has changed."""
        for request, agreed in self._streams.values():
            if uri in (agreed.resource_subscriptions or ()):
                self._send(request, stream_line(request, "notifications/resources/updated", {"uri": uri}))

    def task_changed(self, task_id: str, task: Mapping[str, object]) -> None:
        """Notify the streams that want it of a task's state."""
        for request, agreed in self._streams.values():
            if task_id in (agreed.task_ids or ()):
                self._send(request, stream_line(request, "notifications/tasks", task))

    def _listen(self, request: Request) -> None:
        envelope = self._channel.peer.envelope_of(request)
        wanted = read_params(request, decode_listen).notifications
        if wanted.task_ids is not None and (envelope is None or not envelope.has_extension(TASKS)):
            raise RefusedError(MISSING_CLIENT_CAPABILITY, MISSING.text, MISSING.facts)
        if len(self._streams) >= MOST_STREAMS:
            raise RefusedError(INTERNAL_ERROR, f"{len(self._streams)} streams are open already; end one of them first")
        agreed = honored(wanted, CAPABILITIES)
        self._streams[request.id] = (request, agreed)
        self._send(request, acknowledgement(request, agreed))

    def _send(self, request: Request, line: bytes) -> None:
        self._channel.writer_for(request.id)(line)

    def _close(self, request: Request) -> None:
        self._channel.respond(request, closing_result(request))
