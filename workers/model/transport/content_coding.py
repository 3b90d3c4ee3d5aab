"""Decompresses answers that are compressed although the request did not allow it. Free of I/O.

Requests ask for `identity`, since a compressed stream arrives in bursts. Some gateways compress nevertheless.
Decompression is done here rather than by the HTTP client in order to limit it: a small body must not become gigabytes.
"""

import zlib
from typing import Final

from greenroom.workers.model.transport.body import NotAnAnswerError

PIECE: Final = 64 * 1024
"""Maximum bytes that are decompressed at once."""

FREE: Final = 8 * 1024 * 1024
"""Size to which any body may expand."""

RATIO: Final = 200
"""The factor to which a body may expand beyond that. Text from a model stays below 30."""

_WINDOWS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47, "zlib": 15}
_PLAIN: Final = frozenset({"", "identity", "none", "utf-8"})


class Expansion:
    """Decompresses one body."""

    def __init__(self, coding: str) -> None:
        """`coding` is the header `Content-Encoding`. Raises `NotAnAnswerError` if it is unknown."""
        name = coding.strip().lower()
        if name not in _PLAIN and name not in _WINDOWS:
            raise NotAnAnswerError(f"the server compressed its answer ({name[:40]}), although it was asked not to")
        self._coding = name
        self._inflate = None if name in _PLAIN else zlib.decompressobj(_WINDOWS[name])
        self._taken = 0
        self._given = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the decompressed `chunk`, in pieces. Raises `NotAnAnswerError`."""
        if self._inflate is None:
            return [chunk]
        self._taken += len(chunk)
        pieces: list[bytes] = []
        try:
            while chunk and not self._inflate.eof:
                if piece := self._inflate.decompress(chunk, PIECE):
                    pieces.append(piece)
                    self._count(piece)
                chunk = self._inflate.unconsumed_tail
        except zlib.error as error:
            raise NotAnAnswerError(f"the compressed answer ({self._coding}) cannot be expanded") from error
        return pieces

    def _count(self, piece: bytes) -> None:
        self._given += len(piece)
        if self._given > FREE and self._given > self._taken * RATIO:
            raise NotAnAnswerError(
                f"the compressed answer expands to more than {RATIO} times its size, after {self._given} bytes"
            )
