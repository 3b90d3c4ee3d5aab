"""The session records of a conversation whose file is on another machine: they are sent there.

Lines are made here, with this machine's time. Paths in them are those of the host, so that the conversation can go on
anywhere.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import msgspec

from greenroom.config.path_map import PathMap
from greenroom.sessions.format import HistoryMode, SessionRecord, encode_line
from greenroom.sessions.lock import WriterLock

Clock = Callable[[], float]
_WITH_CWD: Final = frozenset({"session_meta", "turn_context"})
"""Kinds of records that tell the working directory."""


class RecordsSender(Protocol):
    """The way home. What was sent and not written is kept there and written with the next lines."""

    def write(self, lines: bytes, *, commit: bool) -> None:
        """Send lines; with `commit`, wait until they and all before them are on the disk. Raises `OSError` or
        `SessionBusyError`, also for earlier lines."""

    def close(self) -> None:
        """Have everything written and the file let go, and wait for it. Raises the same."""


class SentRecords:
    """Implements `greenroom.sessions.writer.SessionWriter`."""

    is_saved = True

    def __init__(
        self,
        sender: RecordsSender,
        path: str,
        paths: PathMap,
        ordinal: int | None = None,
        first: bytes = b"",
        clock: Clock = time.time,
    ) -> None:
        """`path` is that of the file at home, `ordinal` that of the next line of a paginated one.

        `first` is the first line of a new conversation, which is sent with the next.
        """
        self.path: Final = path
        self._sender = sender
        self._paths = paths
        self._ordinal = ordinal
        self._clock = clock
        self._first = first
        self._waiting: list[bytes] = []
        self._is_uncommitted = False

    @classmethod
    def of_new(
        cls, sender: RecordsSender, path: str, paths: PathMap, meta: SessionRecord, started: float
    ) -> "SentRecords":
        """Begin the records of a new conversation. Nothing is sent before there is something besides `meta`."""
        return cls(sender, path, paths, first=encode_line(at_home(meta, paths), started))

    @property
    def lock(self) -> WriterLock | None:
        return None

    @property
    def history_mode(self) -> HistoryMode:
        return "legacy" if self._ordinal is None else "paginated"

    def append(self, records: Iterable[SessionRecord]) -> None:
        now = self._clock()
        for record in records:
            self._waiting.append(encode_line(at_home(record, self._paths), now, self._ordinal))
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


def at_home(record: SessionRecord, paths: PathMap) -> SessionRecord:
    """Return a record with the working directory as the host names it."""
    payload = record.payload
    if record.kind not in _WITH_CWD or not isinstance(payload, Mapping):
        return record
    cwd = payload.get("cwd")
    if not isinstance(cwd, str) or paths.home(cwd) == cwd:
        return record
    return msgspec.structs.replace(record, payload={**payload, "cwd": paths.home(cwd)})
