"""The file `auth.json`: read in spite of foreign writers, and replaced atomically (docs/security.md, K7 to K9).

Writing is synchronous on purpose: between the issuer's answer and the disk nothing else may run. Writers hold the store
lock.
"""

import asyncio
import errno
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from greenroom.broker.credential.record import AuthRecord, StoreError

log = logging.getLogger(__name__)

READ_ATTEMPTS: Final = 5
READ_PAUSE: Final = 0.04
"""Seconds between two attempts to read a file that another program may be writing."""
STALE_TEMPORARY: Final = 3600.0
"""Seconds after which a temporary file counts as abandoned."""
UNSETTLED: Final = 50_000_000
"""Nanoseconds after a change in which another could leave the same modification time."""

_UNREPLACEABLE: Final = frozenset({errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM})
"""Errors of a rename where the file is a mount of its own, or its directory is not writable."""


class FileFacts(msgspec.Struct, frozen=True):
    """Metadata that distinguish one content of the file from another without reading it."""

    inode: int
    changed_ns: int
    size: int

    @property
    def is_settled(self) -> bool:
        """Whether a change from now on is certain to have another modification time."""
        return time.time_ns() - self.changed_ns > UNSETTLED


class FileStore:
    """The credential file of one home (`greenroom.broker.storage.store.Store`)."""

    kind: Final = "file"

    def __init__(self, codex_home: str) -> None:
        self.home = codex_home
        self.path = os.path.join(codex_home, "auth.json")

    def facts(self) -> FileFacts | None:
        """Return the metadata of the file; `None` where there is none. Costs microseconds. Raises `OSError`."""
        return file_facts(self.path)

    def is_settled(self, facts: object) -> bool:
        """Return whether a later change of the file is certain to change its metadata."""
        return facts is None or (isinstance(facts, FileFacts) and facts.is_settled)

    def read_once(self) -> AuthRecord | None:
        """Read the file once; `None` where there is none. Raises `StoreError`."""
        try:
            with open(self.path, "rb") as file:
                return AuthRecord.read(file.read())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"auth.json cannot be read: {error.strerror}") from None

    async def read(self) -> AuthRecord | None:
        """Read the file, giving another writer time to finish. Raises `StoreError`."""
        for _ in range(READ_ATTEMPTS):
            try:
                return self.read_once()
            except StoreError:
                await asyncio.sleep(READ_PAUSE)
        return self.read_once()

    def replace(self, record: AuthRecord) -> None:
        """Replace the file by a record, durably. Raises `OSError`."""
        os.makedirs(self.home, mode=0o700, exist_ok=True)
        replace_file(self.path, record.encoded())

    def remove(self) -> bool:
        """Remove the file; return whether there was one. Raises `OSError`."""
        try:
            os.unlink(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        _sync_directory(self.home)
        return True

    def is_writable(self) -> bool:
        """Return whether a record of the present size can be written, by trying it."""
        target = os.path.realpath(self.path)
        try:
            with _temporary(target, b" " * os.path.getsize(target)):
                pass
        except OSError as error:
            if error.errno not in _UNREPLACEABLE:
                return False
        return os.access(target, os.W_OK)

    def sweep(self) -> None:
        """Remove temporary files of writers that died long ago."""
        directory, name = os.path.split(os.path.realpath(self.path))
        with suppress(OSError):
            for entry in os.scandir(directory):
                if _is_temporary(entry.name, name) and time.time() - entry.stat().st_mtime > STALE_TEMPORARY:
                    os.unlink(entry.path)


def file_facts(path: str) -> FileFacts | None:
    """Return the metadata of a file; `None` where there is none. Raises `OSError`."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileFacts(found.st_ino, found.st_mtime_ns, found.st_size)


def replace_file(path: str, data: bytes) -> None:
    """Replace the content of a file, durably, readable for the user only. Raises `OSError`."""
    target = os.path.realpath(path)
    try:
        _replace(target, data)
    except OSError as error:
        if error.errno not in _UNREPLACEABLE:
            raise
        _overwrite(target, data)


def _replace(target: str, data: bytes) -> None:
    with _temporary(target, data) as temporary:
        os.rename(temporary, target)
    _sync_directory(os.path.dirname(target))


@contextmanager
def _temporary(target: str, data: bytes) -> Iterator[str]:
    """Yield the path of a synced file with `data` beside `target`; it is removed afterwards, unless renamed."""
    path = f"{target}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            _write(descriptor, data)
        finally:
            os.close(descriptor)
        yield path
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _overwrite(target: str, data: bytes) -> None:
    log.warning("%s cannot be replaced where it is; writing into it", os.path.basename(target))
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):
            os.fchmod(descriptor, 0o600)
        _write(descriptor, data)
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _sync_directory(path: str) -> None:
    with suppress(OSError):  # some file systems cannot, and the file itself is safe
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_temporary(name: str, of: str) -> bool:
    return name.startswith(f"{of}.") and name.endswith(".tmp")
