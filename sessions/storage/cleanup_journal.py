"""The files that a patch leaves behind if its process is killed: recorded before they exist, cleaned up later.

While a patch is applied, temporary files (`beside`) hold what is new and not yet in place, and what is replaced or
removed and may have to be restored. Each is recorded in a file that outlives the process. The next process that finds
records of a dead one removes these files; a file that an unfinished patch had removed is restored. So every file is as
it was before the patch or as the patch has made it, and no other file is left.
"""

import os
import re
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from greenroom.runtime.files.open_directory import enter

_NAME: Final = re.compile(rb"\.greenroom-[0-9a-f]{16}")
_END: Final = b"\0"
"""Ends each field of a note; no path contains it. A note is the path of a file and the name that it replaces."""
_DONE: Final = _END * 2


class JournalFile(Protocol):
    """A file that other processes read after the death of this one (`greenroom.sessions.storage.lock.WriterLock`)."""

    def append(self, note: bytes) -> None:
        """Add a note. Raises `OSError`."""

    def clear(self) -> None:
        """Remove all notes. Raises `OSError`."""


class CleanupJournal:
    """The notes of one process at a time, on one patch at a time. Without a file there are none."""

    def __init__(self, notebook: Callable[[], JournalFile | None] = lambda: None) -> None:
        self._notebook = notebook

    def note(self, path: str, stands_for: str = "") -> None:
        """Record a file that is about to be created; `stands_for` is the name of the neighbour that is moved there."""
        self._append(os.fsencode(path) + _END + os.fsencode(stands_for) + _END)

    def settle(self) -> None:
        """Record that the patch is complete: nothing is to be restored any more."""
        self._append(_DONE)

    def clear(self) -> None:
        """Remove the notes: the files are removed."""
        with suppress(OSError):
            if (notebook := self._notebook()) is not None:
                notebook.clear()

    def _append(self, note: bytes) -> None:
        with suppress(OSError):  # a full disk does not stop a patch that is on another one
            if (notebook := self._notebook()) is not None:
                notebook.append(note)


def beside() -> str:
    """Return a name for a temporary file."""
    return f".greenroom-{secrets.token_hex(8)}"


def clear_away(notes: bytes) -> None:
    """Remove what the notes of a dead process name, or restore it. Unreachable files stay."""
    fields = notes.split(_END)[:-1]
    found = dict(zip(fields[::2], fields[1::2], strict=False))  # a later note on a file replaces an earlier one
    is_done = found.pop(b"", None) is not None
    for path, stands_for in found.items():
        with suppress(OSError):
            _clear_away(path, b"" if is_done else stands_for)


def _clear_away(path: bytes, stands_for: bytes) -> None:
    folder, name = os.path.split(path)
    if _NAME.fullmatch(name) is None or b"/" in stands_for:
        return
    directory = enter(os.fsdecode(folder))
    try:
        mode = _mode(directory, stands_for) if stands_for else stat.S_IFREG
        if mode is None:
            os.rename(name, stands_for, src_dir_fd=directory, dst_dir_fd=directory)
        elif not stat.S_ISDIR(mode):  # the file was replaced by a directory whose files may not have been written
            os.unlink(name, dir_fd=directory)
    finally:
        os.close(directory)


def _mode(directory: int, name: bytes) -> int | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
