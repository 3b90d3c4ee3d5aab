"""Messages of workers on nodes with a large frame: it is sent in parts, which are frames of the same message.

The host can then refuse large frames at its port. ZeroMQ holds a whole frame in memory also of those who have not shown
a key yet; messages of many frames come only after that.
"""

from collections.abc import Sequence
from typing import Final

LARGEST_FRAME: Final = 256 * 1024
"""Bytes of a frame, before it is encrypted."""


def in_parts(frames: Sequence[bytes], at: int) -> Sequence[bytes]:
    """Return the frames of a message with the one at this place in parts, where it is large."""
    large = frames[at]
    if len(large) <= LARGEST_FRAME:
        return frames
    parts = (large[start : start + LARGEST_FRAME] for start in range(0, len(large), LARGEST_FRAME))
    return [*frames[:at], *parts, *frames[at + 1 :]]


def put_together(frames: list[bytes], at: int, count: int) -> list[bytes]:
    """Return the frames of a message that has so many, of which the one at this place may have come in parts."""
    more = len(frames) - count
    return frames if more <= 0 else [*frames[:at], b"".join(frames[at : at + more + 1]), *frames[at + more + 1 :]]
