"""The tokens that a conversation has used so far, by model, from the lines of its session file. Free of I/O.

The file counts all responses together; the difference between two counts belongs to the model of the turn in which the
second was written. What a fork has copied from its origin was used there, and does not count again.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar

import msgspec

UNKNOWN: Final = ""
"""The model of responses before the file names one."""
TOTAL: Final = "total_tokens"

_MARKS: Final = (b'"token_count"', b'"turn_context"', b'"token_usage_record"', b'"session_meta"')
T = TypeVar("T")


class _Line(msgspec.Struct, frozen=True):
    type: str
    payload: msgspec.Raw
    timestamp: str = ""


class _Meta(msgspec.Struct, frozen=True):
    forked_from_id: str | None = None
    timestamp: str = ""


class _Settings(msgspec.Struct, frozen=True):
    model: str | None = None


class _Totals(msgspec.Struct, frozen=True):
    total_token_usage: dict[str, int]


class _TokenCount(msgspec.Struct, frozen=True):
    type: str
    info: _Totals


class _UsageRecord(msgspec.Struct, frozen=True):
    thread_token_usage: dict[str, int]


class Consumption:
    """The tokens of the lines read so far."""

    def __init__(self) -> None:
        self.by_model: dict[str, dict[str, int]] = {}
        """Counts by the names of `token_count`, for each model."""
        self._model = UNKNOWN
        self._before: Mapping[str, int] = {}
        self._forked_at = ""

    def watching(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines unchanged, and read each."""
        for line in lines:
            self.take(line)
            yield line

    def take(self, line: bytes) -> None:
        """Read a line. One of another form is passed over."""
        if not any(mark in line for mark in _MARKS):
            return
        record = _decode(line, _Line)
        if record is None:
            return
        match record.type:
            case "session_meta":
                meta = _decode(record.payload, _Meta)
                if meta is not None and meta.forked_from_id is not None:
                    self._forked_at = max(self._forked_at, meta.timestamp)
            case "turn_context":
                settings = _decode(record.payload, _Settings)
                if settings is not None and settings.model:
                    self._model = settings.model
            case "event_msg":
                count = _decode(record.payload, _TokenCount)
                if count is not None and count.type == "token_count":
                    self._count(count.info.total_token_usage, record.timestamp)
            case "token_usage_record":
                usage = _decode(record.payload, _UsageRecord)
                if usage is not None:
                    self._count(usage.thread_token_usage, record.timestamp)

    def _count(self, totals: Mapping[str, int], at: str) -> None:
        before = self._before
        self._before = totals
        if at < self._forked_at:  # times are written in one form, in which they sort
            return
        if totals.get(TOTAL, 0) < before.get(TOTAL, 0):  # counted anew
            before = {}
        used = self.by_model.setdefault(self._model, {})
        for name, count in totals.items():
            used[name] = used.get(name, 0) + max(0, count - before.get(name, 0))


def _decode(data: bytes | msgspec.Raw, form: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=form)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
