"""What a conversation leaves on disk: its session file, written through to the disk before anybody relies on it."""

import asyncio
import logging
from collections.abc import Callable

from greenroom.protocol.errors import SessionBusyError
from greenroom.protocol.items import JsonObject
from greenroom.sessions.file import SessionFile
from greenroom.sessions.format import SessionRecord, response_item, stored_event
from greenroom.sessions.lock import WriterLock

log = logging.getLogger(__name__)

MOMENT = 0.01
"""Seconds."""


class SessionRecorder:
    """The session file as a turn sees it (`greenroom.workers.conversation.turn.TurnRecorder`).

    A disk that fails is told, and ends no turn.
    """

    def __init__(self, file: SessionFile, warn: Callable[[str], None]) -> None:
        self._file = file
        self._warn = warn
        self.fault: str | None = None
        """Why the last attempt to write has failed, if it has; what is not written is kept for the next one."""
        self._soon: asyncio.TimerHandle | None = None

    @property
    def path(self) -> str:
        """Where the file is, or will be once there is something to write."""
        return self._file.path

    @property
    def lock(self) -> WriterLock | None:
        """The lock of the file, once there is one."""
        return self._file.lock

    def add(self, *records: SessionRecord) -> None:
        """Record lines of any kind."""
        self._file.append(records)

    def item(self, item: JsonObject) -> None:
        """Record an item of the history."""
        self._file.append((response_item(item),))

    def event(self, event: JsonObject) -> None:
        """Record an event, if it is one that is kept."""
        record = stored_event(event, self._file.history_mode)
        if record is not None:
            self._file.append((record,))

    def begin(self) -> None:
        """Make the file, with what it begins with, before there is anything else to keep."""
        self._attempt(self._file.begin)

    def write_soon(self) -> None:
        """Write a moment from now, so that a request to the model that is about to leave need not wait for it."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(MOMENT, self.write)

    def write(self) -> None:
        """Hand over to the operating system what was recorded, so that it survives the death of this process."""
        self._attempt(self._file.flush)

    def save(self) -> None:
        """Return once everything recorded is safe on disk, or the user has been told that it is not."""
        self._attempt(self._file.commit)

    def close(self) -> None:
        """Write what is left and let others write."""
        self._cancel_soon()
        try:
            self._file.close()
        except (OSError, SessionBusyError) as error:
            log.error("%s: %s", self._file.path, error)

    def _attempt(self, write: Callable[[], None]) -> None:
        self._cancel_soon()
        try:
            write()
        except (OSError, SessionBusyError) as error:
            is_known, self.fault = self.fault is not None, _in_words(error)
            if not is_known:
                log.error("%s: %s", self._file.path, error)
                self._warn(f"The conversation cannot be saved to {self._file.path}: {self.fault}. It goes on unsaved.")
        else:
            self.fault = None

    def _cancel_soon(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None


def _in_words(error: OSError | SessionBusyError) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return error.strerror if error.filename is None else f"{error.strerror} ({error.filename})"
