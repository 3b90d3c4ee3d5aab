"""Writes the session file of a conversation, and keeps the reason where that fails."""

import asyncio
import logging
from collections.abc import Callable

from greenroom.protocol.errors import SessionBusyError
from greenroom.protocol.events.event import Event
from greenroom.protocol.items import JsonObject
from greenroom.sessions.records.format import SessionRecord, response_item, stored_event
from greenroom.sessions.storage.lock import WriterLock
from greenroom.sessions.storage.writer import SessionWriter

log = logging.getLogger(__name__)

WRITE_DELAY = 0.01
"""Seconds from `write_soon` to the write."""


class SessionRecorder:
    """The session file of one conversation (`greenroom.workers.conversation.transcript.Recorder`).

    A failure to write is a warning to the user; it ends no turn.
    """

    def __init__(self, file: SessionWriter, warn: Callable[[str], None]) -> None:
        """`warn` takes a text for the user."""
        self._file = file
        self._warn = warn
        self.fault: str | None = None
        """The reason why the last attempt to write failed, if it did; its records are written by the next one."""
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def path(self) -> str:
        """The path of the file, which exists once there is something to write."""
        return self._file.path

    @property
    def holds_all(self) -> bool:
        """Whether the file has, or will have, all that was recorded; not so where nothing is saved."""
        return self.fault is None and self._file.is_saved

    @property
    def lock(self) -> WriterLock | None:
        """The lock of the file, once there is one."""
        return self._file.lock

    def add(self, *records: SessionRecord) -> None:
        """Record lines of any type."""
        self._file.append(records)

    def item(self, item: JsonObject) -> None:
        """Record an item of the history."""
        self._file.append((response_item(item),))

    def event(self, event: Event) -> None:
        """Record an event, if it is of a stored type."""
        record = stored_event(event, self._file.history_mode)
        if record is not None:
            self._file.append((record,))

    def begin(self) -> None:
        """Create the file with its first line, before there is anything else to write."""
        self._attempt(self._file.begin)

    def write_soon(self) -> None:
        """Write after `WRITE_DELAY`, so that a request to the model that is about to be sent need not wait for it."""
        if self._write_timer is None:
            self._write_timer = asyncio.get_running_loop().call_later(WRITE_DELAY, self.write)

    def write(self) -> None:
        """Pass the records to the operating system, so that they survive the death of this process."""
        self._attempt(self._file.flush)

    def save(self) -> None:
        """Return once all records are on disk, or the user has been warned that they are not."""
        self._attempt(self._file.commit)

    def close(self) -> None:
        """Write the remaining records, and release the lock of the file."""
        self._cancel_timer()
        try:
            self._file.close()
        except (OSError, SessionBusyError) as error:
            log.error("%s: %s", self._file.path, error)

    def _attempt(self, write: Callable[[], None]) -> None:
        self._cancel_timer()
        try:
            write()
        except (OSError, SessionBusyError) as error:
            is_repeated, self.fault = self.fault is not None, _reason(error)
            if not is_repeated:
                log.error("%s: %s", self._file.path, error)
                self._warn(f"The conversation cannot be saved to {self._file.path}: {self.fault}. It goes on unsaved.")
        else:
            self.fault = None

    def _cancel_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def _reason(error: OSError | SessionBusyError) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return error.strerror if error.filename is None else f"{error.strerror} ({error.filename})"
