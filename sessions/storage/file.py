"""One session file on disk, with one writer: committed records survive a crash of the machine.

A torn last line, left by a crash or a kill in the middle of a write, is cut off when the file is opened for writing
again. The first lines cannot be torn: a file gets its name once they are written.
"""

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.records.consumption import Consumption
from greenroom.sessions.records.format import HistoryMode, SessionRecord, encode_line
from greenroom.sessions.records.ordinals import next_ordinal
from greenroom.sessions.records.restored import Restored, is_json, restore
from greenroom.sessions.storage.directory import make_private, sync
from greenroom.sessions.storage.lineage import open_with_origins
from greenroom.sessions.storage.lock import WriterLock
from greenroom.sessions.storage.packed import plain_path, present_path, unpack_file

Clock = Callable[[], float]

_BLOCK: Final = 64 * 1024
_sync_data: Final[Callable[[int], None]] = os.fsync if sys.platform == "darwin" else os.fdatasync


def read(reader: Reader, path: str, consumption: Consumption | None = None) -> Restored:
    """Rebuild the conversation of a file, of which `consumption` is told too. Raises `SessionFileError`."""
    try:
        with open_with_origins(reader, path) as file:
            return restore(file if consumption is None else consumption.watching(file))
    except OSError as error:
        raise SessionFileError(f"Session file {path} cannot be read: {error.strerror}") from error
    except SessionFileError as error:
        raise SessionFileError(f"Session file {path} cannot be read: {error}") from error


def session_path(home: str, conversation_id: ConversationId, started: float) -> str:
    """Return the path for the file of a new conversation: by its start, in local time."""
    local = time.localtime(started)
    day, second = time.strftime("%Y/%m/%d", local), time.strftime("%Y-%m-%dT%H-%M-%S", local)
    return os.path.join(home, "sessions", *day.split("/"), f"rollout-{second}-{conversation_id}.jsonl")


class SessionFile:
    """The writing end of a session file.

    `append` is cheap and `commit` is not: it waits for the disk. Both may be called from different threads.
    """

    is_saved = True
    """Whether what is appended is written."""

    def __init__(self, home: str, path: str, conversation_id: ConversationId, clock: Clock = time.time) -> None:
        """Prepare to write; use `create` or `resume`."""
        self.path: Final = path
        self._home = home
        self._conversation_id = conversation_id
        self._clock = clock
        self._appending = threading.Lock()
        self._appended: list[bytes] = []
        self._ordinal: int | None = None
        """That of the next line, in a paginated file."""
        self._committing = threading.Lock()
        self._unwritten = b""
        self._is_new = False
        """Whether the file does not have its name yet."""
        self._begun = False
        """Whether there is anything to store besides the metadata."""
        self._unsynced = False
        self._unsynced_directories: list[str] = []
        self._lock: WriterLock | None = None
        self._descriptor = -1

    @classmethod
    def create(
        cls, home: str, conversation_id: ConversationId, meta: SessionRecord, started: float, clock: Clock = time.time
    ) -> "SessionFile":
        """Begin the file of a new conversation. It is created by the first `commit` of anything besides `meta`."""
        file = cls(home, session_path(home, conversation_id, started), conversation_id, clock)
        file._unwritten = encode_line(meta, started)
        file._is_new = True
        return file

    @classmethod
    def resume(cls, home: str, path: str, conversation_id: ConversationId, clock: Clock = time.time) -> "SessionFile":
        """Take a file up again; a packed one becomes a plain one. Raises `SessionBusyError` or `SessionFileError`.

        A path through a link is refused: the link may point elsewhere by now.
        """
        file = cls(home, plain_path(path), conversation_id, clock)
        file._begun = True
        reader = Reader(home)
        try:
            file._lock = WriterLock(home, conversation_id)
            if (found := present_path(path)) != file.path:
                unpack_file(reader, found, file._nameless())
            file._descriptor = reader.descriptor(file.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, follow=False)
            file._repair()
            file._ordinal = file._next_ordinal()
        except OSError as error:
            file._release()
            raise SessionFileError(f"Session file {path} cannot be written: {error.strerror}") from error
        except SessionFileError as error:
            file._release()
            raise SessionFileError(f"Session file {path} cannot be written: {error}") from error
        except BaseException:
            file._release()
            raise
        return file

    @property
    def lock(self) -> WriterLock | None:
        """The lock that excludes other writers, once the file exists."""
        return self._lock

    @property
    def ordinal(self) -> int | None:
        """That of the next line, in a paginated file."""
        return self._ordinal

    @property
    def history_mode(self) -> HistoryMode:
        """Which events the file keeps."""
        return "legacy" if self._ordinal is None else "paginated"

    def pending(self) -> bool:
        """Whether anything has been appended that is not safely on disk."""
        return bool(self._appended or (self._begun and self._unwritten) or self._unsynced or self._unsynced_directories)

    def append(self, records: Iterable[SessionRecord]) -> None:
        """Add records that the next `commit` writes. They get the time of this call."""
        now = self._clock()
        with self._appending:
            for record in records:
                self._appended.append(encode_line(record, now, self._ordinal))
                if self._ordinal is not None:
                    self._ordinal += 1

    def begin(self) -> None:
        """Do as `flush` does, and create the file of a new conversation also where nothing was appended."""
        self._begun = True
        self.flush()

    def commit(self) -> None:
        """Write what was appended and wait until it is safe on disk.

        Raises `OSError` where that fails, and the first time `SessionBusyError`. What is not written then is kept for
        the next commit, which continues at the same byte.
        """
        with self._committing:
            if self._write_out():
                self._sync()

    def flush(self) -> None:
        """Write what was appended to the page cache: it then survives this process, though not a crash of the machine.

        Raises as `commit` does.
        """
        with self._committing:
            self._write_out()

    def close(self) -> None:
        """Commit, then release the lock, also where the commit raises."""
        try:
            self.commit()
        finally:
            with self._committing:
                self._release()

    def _write_out(self) -> bool:
        """Write everything; return false where there is no file yet and nothing to begin one with."""
        self._collect()
        if self._descriptor < 0:
            if not (self._begun and self._unwritten):
                return False
            self._make()
        self._write()
        return True

    def _collect(self) -> None:
        with self._appending:
            self._begun = self._begun or bool(self._appended)
            self._unwritten += b"".join(self._appended)
            self._appended.clear()

    def _make(self) -> None:
        if self._lock is None:
            self._lock = WriterLock(self._home, self._conversation_id)
        directory = os.path.dirname(self.path)
        self._unsynced_directories += [*make_private(directory), directory]
        if os.path.lexists(self.path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self.path)
        with suppress(FileNotFoundError):
            os.unlink(self._nameless())  # left by a writer that was killed: this process holds the lock now
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self._nameless(), flags, 0o600)

    def _nameless(self) -> str:
        """Return the path of a new file until it has its first lines; no reader looks there."""
        return os.path.join(os.path.dirname(self.path), f".{self._conversation_id}.new")

    def _write(self) -> None:
        while self._unwritten:
            self._unsynced = True
            written = os.write(self._descriptor, self._unwritten)
            self._unwritten = self._unwritten[written:]
        if self._is_new:
            os.rename(self._nameless(), self.path)
            self._is_new = False

    def _sync(self) -> None:
        if self._unsynced:
            _sync_data(self._descriptor)
            self._unsynced = False
        while self._unsynced_directories:
            sync(self._unsynced_directories[-1])
            self._unsynced_directories.pop()

    def _repair(self) -> None:
        size = os.fstat(self._descriptor).st_size
        last = _last_line(self._descriptor, size)
        if is_json(last):
            self._unwritten = b"\n"
        elif last:
            if len(last) == size:
                raise SessionFileError("it holds no whole line")
            os.ftruncate(self._descriptor, size - len(last))
            self._unsynced = True

    def _next_ordinal(self) -> int | None:
        with open(self._descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return next_ordinal(file)

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _last_line(descriptor: int, size: int) -> bytes:
    """Return what follows the last newline."""
    last, position = b"", size
    while position and b"\n" not in last:
        start = max(0, position - _BLOCK)
        last = os.pread(descriptor, position - start, start) + last
        position = start
    return last.rpartition(b"\n")[2]
