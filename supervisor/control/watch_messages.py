"""What is told to whoever watches a conversation: lines of JSON, from `WatchBegan` until the connection ends.

Events are passed on as the worker has written them (`greenroom.protocol.events`), those alone that `WATCHED` names.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

WATCHED: Final = frozenset(
    {
        b"task_started",
        b"task_complete",
        b"turn_aborted",
        b"stream_error",
        b"item_started",
        b"item_completed",
        b"agent_message_content_delta",
        b"reasoning_content_delta",
        b"exec_command_output_delta",
        b"plan_update",
    }
)
"""Types of the events that are passed on: those that show texts, outputs and plans while they come about."""
LONGEST: Final = 256 * 1024
"""Bytes that wait for a watcher at most, and bytes of a line."""
_HEAD: Final = b'{"type":"'
"""The beginning of events as workers write them."""


class WatchBegan(msgspec.Struct, frozen=True, tag_field="watch", tag="began"):
    """The first line."""


class WatchedEvents(msgspec.Struct, frozen=True, tag_field="watch", tag="events"):
    """Events, in their order."""

    events: list[msgspec.Raw]


class WatchGap(msgspec.Struct, frozen=True, tag_field="watch", tag="gap"):
    """Here lines were left out, because the watcher did not read them in time."""


class WatchedTurnEnded(msgspec.Struct, frozen=True, tag_field="watch", tag="turn_ended"):
    """A turn has ended, whatever its events have said; its process may have died."""


WatchMessage: TypeAlias = WatchBegan | WatchedEvents | WatchGap | WatchedTurnEnded

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(WatchMessage).decode


def watch_line(message: WatchMessage) -> bytes:
    """Return the line of a message."""
    return _encode(message) + b"\n"


def events_line(events: bytes) -> bytes | None:
    """Return the line of the events that are passed on, `None` where there are none. They come one a line."""
    told = [event for event in events.split(b"\n") if _kind(event) in WATCHED]
    return _line_of(told) if told else None


def read_watch_message(line: bytes) -> WatchMessage:
    """Decode a line. Raises `ValueError`."""
    message: WatchMessage = _decode(line)
    return message


def _kind(event: bytes) -> bytes:
    return event[len(_HEAD) : event.index(b'"', len(_HEAD))] if event.startswith(_HEAD) else b""


def _line_of(events: Sequence[bytes]) -> bytes:
    return b'{"watch":"events","events":[%b]}\n' % b",".join(events)
