"""What git would record for one file: mode, blob id and, for a text of ordinary size, its content."""

import hashlib
import io
import os
import stat
from typing import Final

import msgspec

from greenroom.config.reader import Reader
from greenroom.runtime.files.open_directory import enter

TEXT_LIMIT: Final = 16 * 1024 * 1024
"""Bytes. Larger files count as binary, to limit the memory of many snapshots."""
NO_BLOB: Final = "0" * 40
"""The id that git shows for a file that does not exist or was not read."""

_READING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE: Final = 1024 * 1024


class FileSnapshot(msgspec.Struct, frozen=True):
    """A file, or a symlink, at one moment."""

    mode: str
    """`100644`, `100755` if its owner may execute it, or `120000` for a symlink."""
    blob: str
    """The SHA-1 blob id; `NO_BLOB` if the file may not be read."""
    text: str | None
    """`None` if it is binary, too large or unreadable."""

    @property
    def is_link(self) -> bool:
        return self.mode == "120000"


def take(path: str, reader: Reader) -> FileSnapshot | None:
    """Read the file at an absolute path without symlinks. `None` if there is neither a file nor a symlink.

    A file that `reader` rejects counts as unreadable.
    """
    parent, name = os.path.split(path)
    try:
        directory = enter(parent)
    except OSError:  # missing, no longer a directory, or no longer accessible
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
