"""Keeps the beginning and the end of an output of any length, in bounded memory and cut at character boundaries."""

from typing import Final, Literal

import msgspec

BYTES_PER_TOKEN: Final = 4
_CONTINUATION: Final = bytes(range(0x80, 0xC0))


class OutputBudget(msgspec.Struct, frozen=True):
    """How much of a text is kept, and the unit in which the marker counts what was left out."""

    size: int
    """Bytes of UTF-8, the marker not counted."""
    unit: Literal["chars", "tokens"] = "chars"

    @classmethod
    def of_tokens(cls, tokens: int) -> "OutputBudget":
        """Four bytes for each token, and a marker that counts tokens."""
        return cls(tokens * BYTES_PER_TOKEN, "tokens")

    @property
    def head(self) -> int:
        """Bytes kept of the beginning."""
        return self.size // 2

    @property
    def tail(self) -> int:
        """Bytes kept of the end."""
        return self.size - self.head


class Captured(msgspec.Struct, frozen=True):
    """What was kept of one output."""

    head: bytes
    tail: bytes
    """Follows `head` directly where nothing was dropped."""
    dropped: int = 0
    """Bytes between `head` and `tail` that are gone."""
    dropped_chars: int = 0
    lines: int = 0
    """Lines of the whole output; an unfinished last one counts."""

    @property
    def length(self) -> int:
        """Bytes of the whole output."""
        return len(self.head) + self.dropped + len(self.tail)

    def render(self, budget: OutputBudget) -> str:
        """Return the text, cut in the middle where it is over the budget."""
        if not self.dropped:
            return cut(_decode(self.head + self.tail), budget)
        head, tail = _decode(_finished(self.head)).encode(), _decode(_begun(self.tail)).encode()
        first, last = _first(head, budget.head), _last(tail, budget.tail)
        chars = self.dropped_chars + _chars(self.head) + _chars(self.tail) - _chars(first) - _chars(last)
        return _joined(first, last, self.length, chars, budget)

    def render_for_model(self, budget: OutputBudget) -> str:
        """Return the text as `render` does, under a heading with its full size where it was cut."""
        text = self.render(budget)
        if not self.dropped and text == _decode(self.head + self.tail):
            return text
        tokens = _tokens(self.length)
        return f"Warning: truncated output (original token count: {tokens})\nTotal output lines: {self.lines}\n\n{text}"


class HeadTail:
    """Consumes an output chunk by chunk and keeps at most `budget` bytes of it: all, or its two ends."""

    def __init__(self, budget: int) -> None:
        self._room = OutputBudget(budget)
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0
        self._dropped_chars = 0
        self._newlines = 0
        self._unfinished = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the output."""
        if not chunk:
            return
        self._newlines += chunk.count(b"\n")
        self._unfinished = not chunk.endswith(b"\n")
        room = self._room.head - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        self._shed(len(self._tail) - self._room.tail)

    def _shed(self, excess: int) -> None:
        if excess > 0:
            self._dropped += excess
            self._dropped_chars += _chars(self._tail[:excess])
            del self._tail[:excess]

    def captured(self) -> Captured:
        """Return what is kept so far."""
        lines = self._newlines + self._unfinished
        return Captured(bytes(self._head), bytes(self._tail), self._dropped, self._dropped_chars, lines)


def cut(text: str, budget: OutputBudget) -> str:
    """Return a short text unchanged; of a longer one keep both ends around a marker with the size of the gap."""
    data = text.encode(errors="replace")
    if len(data) <= budget.size:
        return text
    first, last = _first(data, budget.head), _last(data, budget.tail)
    return _joined(first, last, len(data), _chars(data) - _chars(first) - _chars(last), budget)


def _joined(first: bytes, last: bytes, length: int, chars: int, budget: OutputBudget) -> str:
    missing = {"chars": chars, "tokens": _tokens(max(0, length - budget.size))}[budget.unit]
    return f"{first.decode()}…{missing} {budget.unit} truncated…{last.decode()}"


def _tokens(length: int) -> int:
    return -(-length // BYTES_PER_TOKEN)


def _chars(data: bytes | bytearray) -> int:
    """Count characters without decoding: every byte that is no continuation byte begins one."""
    return len(data.translate(None, _CONTINUATION))


def _decode(data: bytes) -> str:
    return data.decode(errors="replace")


def _first(data: bytes, size: int) -> bytes:
    return _finished(data[:size])


def _last(data: bytes, size: int) -> bytes:
    return _begun(data[max(0, len(data) - size) :])


def _finished(data: bytes) -> bytes:
    """Drop an incomplete character at the end."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte not in _CONTINUATION:
            return data[:-back] if _width(byte) > back else data
    return data


def _begun(data: bytes) -> bytes:
    """Drop the rest of an incomplete character at the beginning."""
    stray = next((index for index, byte in enumerate(data[:4]) if byte not in _CONTINUATION), len(data))
    return data[stray:] if stray < 4 else data


def _width(lead: int) -> int:
    return 1 + (lead >= 0xC0) + (lead >= 0xE0) + (lead >= 0xF0)
