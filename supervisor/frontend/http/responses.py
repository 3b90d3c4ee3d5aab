"""Answers over HTTP: a JSON text, or a stream of server-sent events that may be continued on another connection."""

import asyncio
from typing import Final, NamedTuple

from aiohttp import web

from greenroom.protocol.jsonrpc import notification_line
from greenroom.supervisor.frontend.http.event_log import EventId, EventLog, LoggedEvent
from greenroom.supervisor.frontend.http.posted import EVENT_STREAM, JSON
from greenroom.supervisor.frontend.http.refusal import RefusedRequest
from greenroom.supervisor.frontend.http.streams import StreamReader

KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a comment is sent, so that neither side takes the connection for dead."""
RETRY_MS: Final = 1000
"""Milliseconds after which a client may come back."""
STREAM_HEADERS: Final = {
    "Content-Type": EVENT_STREAM,
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}
NO_STORE: Final = {"Cache-Control": "no-store"}


class StreamForm(NamedTuple):
    """How a stream is sent."""

    has_ids: bool = True
    """Whether events have ids, by which it can be continued."""
    is_primed: bool = False
    """Whether it begins with an event that has only an id."""
    lifetime_s: float = 0.0
    """Seconds after which it is interrupted; 0: never."""
    closes: bool = False
    """Whether the connection ends with it."""


def json_response(body: bytes, status: int = 200) -> web.Response:
    """Return an answer that is one JSON text."""
    return web.Response(status=status, body=body, headers={"Content-Type": JSON, **NO_STORE})


def refusal_response(refusal: RefusedRequest) -> web.Response:
    """Return the answer to a request that is refused; it ends the connection, whose rest may not be what it seems."""
    response = json_response(refusal.body, refusal.status)
    response.headers.update(refusal.headers)
    response.force_close()
    return response


async def first_answer(stream: EventLog, reader: StreamReader, within_s: float) -> LoggedEvent | None:
    """Return the answer of a stream, if it comes within a time and before anything else."""
    if not stream.last and within_s:
        await reader.wait(within_s)
    if not (stream.is_finished and stream.last == 1):
        return None
    taken = reader.take()
    return taken[0] if taken else None


async def send_stream(
    request: web.BaseRequest, response: web.StreamResponse, stream: EventLog, reader: StreamReader, form: StreamForm
) -> None:
    """Send a stream until it ends, or is interrupted. Raises `ConnectionError` where the client is gone."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + form.lifetime_s if form.lifetime_s else None
    while not reader.has_ended:
        events = reader.take()
        if events:
            await response.write(b"".join(frame(stream, event, form) for event in events))
            continue
        pause = KEEP_ALIVE if ends_at is None else min(KEEP_ALIVE, max(ends_at - loop.time(), 0.0))
        if not await reader.wait(pause):
            if ends_at is not None and loop.time() >= ends_at:
                break
            await response.write(b":\n\n")
    if reader.is_overrun and request.transport is not None:
        request.transport.abort()


async def begin_stream(
    request: web.BaseRequest, stream: EventLog, form: StreamForm, after: int, lost: int, **headers: str
) -> web.StreamResponse:
    """Send the head of a stream, and what precedes its events."""
    response = web.StreamResponse(headers={**STREAM_HEADERS, **headers})
    if form.closes:
        response.force_close()
    response.enable_chunked_encoding()
    await response.prepare(request)
    if form.is_primed and after == 0:
        await response.write(b"retry: %d\nid: %b\ndata:\n\n" % (RETRY_MS, EventId(stream.number, 0).text.encode()))
    if lost:
        await response.write(b"data: %b\n\n" % loss_notice(lost))
    return response


def frame(stream: EventLog, event: LoggedEvent, form: StreamForm) -> bytes:
    """Return an event as it is sent."""
    if not form.has_ids:
        return b"data: %b\n\n" % event.data
    return b"id: %d-%d\ndata: %b\n\n" % (stream.number, event.number, event.data)


def loss_notice(lost: int) -> bytes:
    """Return the message that tells a client that comes back what is missing."""
    text = f"{lost} messages of this stream are not kept any more; answers and open questions are not among them"
    data = {"message": text, "left_out": lost}
    return notification_line(
        "notifications/message", {"level": "warning", "logger": "greenroom.http", "data": data}
    ).rstrip()
