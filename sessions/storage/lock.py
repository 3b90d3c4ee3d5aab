"""One writer for each session file, across processes and across programs.

The lock is an exclusive `flock` on a lock file of the conversation, taken and released while the coordination lock of
the directory is held. Without the latter a process could lock a file that another has just removed. The kernel releases
a lock when its holder dies.

The file is empty but for the holder's notes on what to clean up after its death
(`greenroom.sessions.storage.cleanup_journal`). The next holder does so, or removes the file.
"""

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from greenroom.protocol.errors import SessionBusyError
from greenroom.protocol.ids import ConversationId
from greenroom.runtime.files import filelock
from greenroom.sessions.storage import cleanup_journal
from greenroom.sessions.storage.directory import make_private

FOLDER: Final = "thread-writer-locks"
COORDINATION: Final = ".coordination.lock"
TIMEOUT_SECONDS: Final = 1.0
"""Time-out of the coordination lock. It is held for microseconds, unless its holder was stopped meanwhile."""
_PAUSE_SECONDS: Final = 0.001
SWEPT: Final = 8
"""Locks of others that a writer looks at when it leaves. Were it all, many that leave at once would wait for each other
longer than `TIMEOUT_SECONDS`."""


class WriterLock:
    """The right to write one conversation's file, from construction until `release`."""

    def __init__(self, home: str, conversation_id: ConversationId, timeout_s: float = TIMEOUT_SECONDS) -> None:
        """Take the lock. Raises `SessionBusyError` where another process has it, and `OSError`.

        `timeout_s`: how long other processes that take or release locks are waited for.
        """
        self._timeout_s = timeout_s
        self._folder = os.path.join(home, FOLDER)
        self._path = os.path.join(self._folder, f"{conversation_id}.lock")
        make_private(self._folder)
        self._noting = threading.Lock()
        with _coordinated(self._folder, self._timeout_s):
            self._descriptor = filelock.open_lock(self._path)
            try:
                self._take(conversation_id)
            except BaseException:
                os.close(self._descriptor)
                raise
        _clear_away(self._descriptor)

    def _take(self, conversation_id: ConversationId) -> None:
        if not filelock.try_lock(self._descriptor):
            holder = _holder(self._descriptor)
            raise SessionBusyError(
                f"Conversation {conversation_id} is being written by {holder}. End it there, then try again."
            )

    def append(self, note: bytes) -> None:
        """Append a note of what to clean up after the death of this process; void once the lock is released."""
        with self._noting:
            if self._descriptor >= 0:
                os.write(self._descriptor, note)

    def clear(self) -> None:
        """Remove all notes."""
        with self._noting:
            if self._descriptor >= 0:
                _empty(self._descriptor)

    def release(self) -> None:
        """Release the lock and remove its file, and of `SWEPT` others those of writers that were killed."""
        with self._noting:
            descriptor, self._descriptor = self._descriptor, -1
        try:
            with _coordinated(self._folder, self._timeout_s):
                os.unlink(self._path)
                _sweep(self._folder)
        except (OSError, SessionBusyError):
            pass  # an unlocked lock file does no harm
        finally:
            os.close(descriptor)


def _sweep(folder: str) -> None:
    """Remove lock files without a holder. None can be in use, while the coordination lock is held."""
    names = [name for name in os.listdir(folder) if name.endswith(".lock") and name != COORDINATION]
    for name in random.sample(names, min(SWEPT, len(names))):
        path = os.path.join(folder, name)
        with filelock.opened(path) as descriptor:
            if filelock.try_lock(descriptor):
                _clear_away(descriptor)
                os.unlink(path)


def _clear_away(descriptor: int) -> None:
    """Clean up what the last holder has left behind."""
    size = os.fstat(descriptor).st_size
    if size:
        cleanup_journal.clear_away(os.pread(descriptor, size, 0))
        _empty(descriptor)


def _empty(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)


def writers(home: str) -> dict[ConversationId, int]:
    """Return the processes that have conversations of a home open at the moment, as far as the kernel reports them."""
    folder, holders = os.path.join(home, FOLDER), filelock.holders()
    try:
        files = {entry.name: entry.inode() for entry in os.scandir(folder)} if holders else {}
    except OSError:
        return {}
    return {
        ConversationId(name.removesuffix(".lock")): holders[inode]
        for name, inode in files.items()
        if inode in holders and name != COORDINATION
    }


def is_written(home: str, conversation_id: ConversationId) -> bool:
    """Tell whether a process has a conversation open at the moment, as far as the kernel reports it."""
    try:
        inode = os.stat(os.path.join(home, FOLDER, f"{conversation_id}.lock")).st_ino
    except OSError:
        return False
    return inode in filelock.holders()


def _name_of(pid: int) -> str:
    """Return the name of a process, `?` where it is unknown."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as name:
            return name.read().strip()
    except OSError:
        return "?"


@contextmanager
def _coordinated(folder: str, timeout_s: float) -> Iterator[None]:
    with filelock.opened(os.path.join(folder, COORDINATION)) as descriptor:
        try:
            filelock.acquire(descriptor, timeout_s, _PAUSE_SECONDS)
        except filelock.LockTimeoutError:
            holder = _holder(descriptor)
            raise SessionBusyError(f"The locks in {folder} are kept from everyone by {holder}.") from None
        yield


def _holder(descriptor: int) -> str:
    """Return the name of the process that holds the lock, as far as the kernel reports it (proc(5), /proc/locks)."""
    pid = filelock.holders().get(os.fstat(descriptor).st_ino)
    return "another process" if pid is None else f"process {pid} ({_name_of(pid)})"
