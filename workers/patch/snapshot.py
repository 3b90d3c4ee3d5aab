"""What git would record of one file: mode, blob id and, where it is a text of ordinary size, its text."""

import hashlib
import io
import os
import stat
from dataclasses import dataclass
from typing import Final

from greenroom.config.reader import Reader
from greenroom.runtime.open_directory import enter

TEXT_LIMIT: Final = 16 * 1024 * 1024
"""Bytes. A larger file counts as binary, so that whoever holds many snapshots does not hold them all."""
NO_BLOB: Final = "0" * 40
"""The id that git shows of what is absent, or was not looked at."""

_READING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileSnapshot:
    """A file, or a symlink, at one moment."""

    mode: str
    """`100644`, `100755` where its owner may execute it, or `120000` for a symlink."""
    blob: str
    """The SHA-1 id of its bytes; `NO_BLOB` where they may not be read."""
    text: str | None
    """`None` for what is binary, too large or unreadable."""

    @property
    def is_link(self) -> bool:
        return self.mode == "120000"


def take(path: str, reader: Reader) -> FileSnapshot | None:
    """Look at an absolute path through no symlink. `None` where there is neither a file nor a symlink.

    A file that `reader` refuses counts as one that may not be read.
    """
    parent, name = os.path.split(path)
    try:
        directory = enter(parent)
    except OSError:  # missing, no directory any more, or no longer ours to enter
        return None
    try:
        return _take(directory, name, reader)
    except FileNotFoundError:
        return None
    finally:
        os.close(directory)


def _take(directory: int, name: str, reader: Reader) -> FileSnapshot | None:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return _small("120000", os.fsencode(os.readlink(name, dir_fd=directory)))
    if not stat.S_ISREG(status.st_mode):
        return None
    mode = "100755" if status.st_mode & stat.S_IXUSR else "100644"
    try:
        descriptor = os.open(name, _READING, dir_fd=directory)
    except PermissionError:
        return FileSnapshot(mode, NO_BLOB, None)
    with open(descriptor, "rb", buffering=0) as file:
        try:
            reader.check(descriptor)
        except OSError:
            return FileSnapshot(mode, NO_BLOB, None)
        size = os.fstat(descriptor).st_size
        return _large(mode, file, size) if size > TEXT_LIMIT else _small(mode, file.read())


def _small(mode: str, content: bytes) -> FileSnapshot:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return FileSnapshot(mode, blob, _text(content))


def _large(mode: str, file: io.FileIO, size: int) -> FileSnapshot:
    blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    while piece := file.read(_PIECE):
        blob.update(piece)
    return FileSnapshot(mode, blob.hexdigest(), None)


def _text(content: bytes) -> str | None:
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None
