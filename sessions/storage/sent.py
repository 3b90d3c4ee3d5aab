"""The session records of a conversation whose file is on another machine: they are sent there.

Times, ordinals, directories and all that the conversation may do are written there
(`greenroom.sessions.storage.received`); the lines have what they have here.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from greenroom.sessions.records.format import HistoryMode, SessionRecord, encode_line
from greenroom.sessions.storage.lock import WriterLock

Clock = Callable[[], float]


class RecordsSender(Protocol):
    """The way home. What was sent and not written is kept there and written with the next lines."""

    def write(self, lines: bytes, *, commit: bool) -> None:
        """Send lines; with `commit`, wait until they and all before them are on the disk. Raises `OSError` or
        `SessionBusyError`, also for earlier lines."""

    def close(self) -> None:
        """Have everything written and the file let go, and wait for it. Raises the same."""


class SentRecords:
    """Implements `greenroom.sessions.storage.writer.SessionWriter`."""

    is_saved = True

    def __init__(
        self,
        sender: RecordsSender,
        path: str,
        ordinal: int | None = None,
        first: bytes = b"",
        clock: Clock = time.time,
    ) -> None:
        """`path` is that of the file at home, `ordinal` that of the next line of a paginated one.

        `first` is the first line of a new conversation, which is sent with the next.
        """
        self.path: Final = path
        self._sender = sender
        self._ordinal = ordinal
        self._clock = clock
        self._first = first
        self._waiting: list[bytes] = []
        self._is_uncommitted = False

    @classmethod
    def of_new(cls, sender: RecordsSender, path: str, meta: SessionRecord, started: float) -> "SentRecords":
        """Begin the records of a new conversation. Nothing is sent before there is something besides `meta`."""
        return cls(sender, path, first=encode_line(meta, started))

    @property
    def lock(self) -> WriterLock | None:
        return None

    @property
    def history_mode(self) -> HistoryMode:
        return "legacy" if self._ordinal is None else "paginated"

    def append(self, records: Iterable[SessionRecord]) -> None:
        now = self._clock()
        for record in records:
            self._waiting.append(encode_line(record, now, self._ordinal))
            if self._ordinal is not None:
                self._ordinal += 1

    def begin(self) -> None:
        if self._first:
            self._send(commit=False)

    def flush(self) -> None:
        if self._waiting:
            self._send(commit=False)

    def commit(self) -> None:
        if self._waiting or self._is_uncommitted:
            self._send(commit=True)

    def close(self) -> None:
        try:
            self.flush()
        finally:
            if not self._first:
                self._sender.close()

    def _send(self, *, commit: bool) -> None:
        lines = self._first + b"".join(self._waiting)
        self._first = b""
        self._waiting.clear()
        self._is_uncommitted = True
        self._sender.write(lines, commit=commit)
        self._is_uncommitted = not commit
