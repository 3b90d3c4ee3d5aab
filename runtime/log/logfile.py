"""The structured log: one JSON object a line below the Codex home, with the ids of what it is about in every line.

All processes of all instances of a home append to one file. So what happened reads in its order, in one place, and the
space it takes has a bound however many processes come and go. Each line is one write to a file opened for appending,
which the kernel keeps apart from the lines of others (open(2), O_APPEND; not over NFS). The process that finds the
file full rotates it under a lock, and the others notice by its inode.
"""

import contextlib
import errno
import logging
import os
import sys
from typing import Final

import msgspec

from greenroom.runtime.files import filelock
from greenroom.runtime.log.log import adapt_level, carry, redact, repetition
from greenroom.runtime.log.logline import NO_IDS, Ids, json_line

FOLDER: Final = os.path.join("log", "greenroom")
NAME: Final = "greenroom"
MAX_BYTES: Final = 10 * 1024 * 1024
"""Size at which the file is rotated."""
KEPT: Final = 4
"""Rotated files that are kept."""
TAIL: Final = 64 * 1024
"""Bytes from the end of the file in which `recent` looks."""


class LogFile(logging.Handler):
    """Appends records to the log of a home. The first record opens the file."""

    def __init__(self, home: str, process: str = "", ids: Ids = NO_IDS, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self.home: Final = home
        self._folder = os.path.join(home, FOLDER)
        self._path = log_path(home)
        self._process = process
        self._max_bytes = max_bytes
        self._descriptor = -1
        self._failing = False
        self.ids: dict[str, str | int] = dict(ids)
        """Ids that every line carries."""

    def identify(self, process: str, ids: Ids) -> None:
        """Let later lines be those of this process, with these ids; an error that it meets is its first."""
        self._process, self.ids = process, dict(ids)
        self._failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record. A write error is reported once on standard error and is not raised."""
        try:
            self._append(encode_log_line(record, self._process, self.ids))
        except OSError as error:
            self._close()
            if not self._failing:
                with contextlib.suppress(OSError):  # standard error may be a file on the same disk
                    sys.stderr.write(f"{self._process} cannot write {self._path}: {error}; such lines are lost\n")
            self._failing = True
        except Exception:
            self.handleError(record)
        else:
            self._failing = False

    def close(self) -> None:
        """Close the file."""
        with self.lock or contextlib.nullcontext():
            self._close()
        super().close()

    def _append(self, line: bytes) -> None:
        self._open()
        if os.write(self._descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if os.fstat(self._descriptor).st_size >= self._max_bytes:
            self._rotate()

    def _open(self) -> None:
        """Open the file that has the name now, since another process may have rotated it."""
        if self._descriptor >= 0 and self._is_current():
            return
        self._close()
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)

    def _is_current(self) -> bool:
        try:
            named, opened = os.stat(self._path), os.fstat(self._descriptor)
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)

    def _rotate(self) -> None:
        # A process that holds the lock is rotating the file already.
        with filelock.opened(os.path.join(self._folder, ".lock")) as lock:
            if filelock.try_lock(lock) and self._is_current():
                for number in range(KEPT, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        os.replace(_numbered(self._path, number - 1), _numbered(self._path, number))
                self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def log_path(home: str) -> str:
    """Return where the log of a home is written."""
    return os.path.join(home, FOLDER, f"{NAME}.jsonl")


def open_log(home: str, process: str, level: str = "info", **ids: str | int) -> LogFile:
    """Log to the home's file too, from `level` on; the other handlers keep their levels. Call it after `log.set_up`.

    `ids` are those that hold for the whole process (`ID_NAMES`).
    """
    root = logging.getLogger()
    handler = None
    for other in list(root.handlers):
        if not isinstance(other, LogFile):
            other.setLevel(max(other.level, root.level))
        elif other.home == home:  # the fork server's, in a process that it has forked
            handler = other
        else:
            root.removeHandler(other)
            other.close()
    if handler is None:
        handler = LogFile(home)
        handler.addFilter(repetition)
        root.addHandler(handler)
    handler.setLevel(level.upper())
    handler.identify(process, ids)
    carry(ids)
    adapt_level()
    return handler


def identify(**ids: str | int | None) -> None:
    """Add these ids to every later line of this process; `None` removes one."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogFile):
            known = {**handler.ids, **ids}
            handler.ids = {name: value for name, value in known.items() if value is not None}
            carry(handler.ids)


def encode_log_line(record: logging.LogRecord, process: str, ids: Ids) -> bytes:
    """Return the line of a record, secrets masked, newline included."""
    return redact(json_line(record, process, ids)).encode() + b"\n"


def recent(home: str, count: int, **ids: str | int) -> list[str]:
    """Return the last messages about all of these ids, oldest first, from the last `TAIL` bytes of the file."""
    try:
        with open(log_path(home), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read(TAIL).splitlines()
    except OSError:
        return []
    found = (_message_about(line, ids) for line in lines)
    return [message for message in found if message is not None][-count:] if count > 0 else []


def _message_about(line: bytes, ids: Ids) -> str | None:
    try:
        record = msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeError):
        return None
    belongs = all(record.get(name) == value for name, value in ids.items())
    return f"{record.get('level')} {record.get('message')}" if belongs else None


def _numbered(path: str, number: int) -> str:
    """Return the name of the file that was rotated `number` times; 0 is the current one."""
    stem, extension = os.path.splitext(path)
    return f"{stem}.{number}{extension}" if number else path
