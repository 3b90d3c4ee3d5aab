"""The records of tasks, one file each, beside the sessions of the home. Every call may block on the disk."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Final
from uuid import UUID

import msgspec

from greenroom.protocol.mcp.tasks import KEPT_FOR, TaskRecord, decode_record, encode_record

DIRECTORY: Final = "tasks"
_SUFFIX: Final = ".json"


class TaskStore:
    """All tasks of a home, of all runs of the server."""

    def __init__(self, home: str) -> None:
        self._directory = os.path.join(home, DIRECTORY)

    def write(self, record: TaskRecord) -> None:
        """Replace a record durably. Raises `OSError`."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        path = self._path(record.id)
        fresh = f"{path}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(encode_record(record))
            file.flush()
            os.fsync(descriptor)
        os.replace(fresh, path)
        self._sync_directory()

    def read(self, task_id: str) -> TaskRecord | None:
        """Return a record, `None` where there is none, or where it has expired."""
        if not _is_id(task_id):
            return None
        record = _read(self._path(task_id))
        return None if record is None or record.is_forgotten(time.time()) else record

    def remove_old(self, is_over: Callable[[TaskRecord], bool]) -> None:
        """Remove the records that have not changed for the lifetime of a task, and of which `is_over` holds."""
        for path in list(self._untouched(time.time() - KEPT_FOR)):
            record = _read(path)
            if record is not None and is_over(record):
                with contextlib.suppress(OSError):
                    os.unlink(path)

    def _untouched(self, since: float) -> Iterator[str]:
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX) and entry.stat(follow_symlinks=False).st_mtime < since:
                    yield entry.path

    def _path(self, task_id: str) -> str:
        return os.path.join(self._directory, task_id + _SUFFIX)

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: str) -> TaskRecord | None:
    try:
        with open(path, "rb") as file:
            return decode_record(file.read())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
