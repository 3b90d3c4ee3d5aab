"""What a conversation writes its session records with, wherever their file is."""

from collections.abc import Iterable
from typing import Protocol

from greenroom.sessions.records.format import HistoryMode, SessionRecord
from greenroom.sessions.storage.lock import WriterLock


class SessionWriter(Protocol):
    """The interface. `SessionFile` implements it for a file of this machine, `SentRecords` for one at home."""

    @property
    def path(self) -> str:
        """The path of the file, on the machine that has it."""
        ...

    @property
    def is_saved(self) -> bool:
        """Whether what is appended is written."""
        ...

    @property
    def lock(self) -> WriterLock | None:
        """The lock that excludes other writers, where this process holds it."""

    @property
    def history_mode(self) -> HistoryMode:
        """Which events the file keeps."""
        ...

    def append(self, records: Iterable[SessionRecord]) -> None:
        """Add records that the next `commit` writes. They get the time of this call."""

    def begin(self) -> None:
        """Create the file of a new conversation now. Raises as `commit` does."""

    def flush(self) -> None:
        """Write what was appended so that it survives this process. Raises as `commit` does."""

    def commit(self) -> None:
        """Write what was appended and wait until it is safe on disk. Raises `OSError` or `SessionBusyError`.

        What is not written then is kept for the next commit.
        """

    def close(self) -> None:
        """Commit, and let go of the file, also where the commit raises."""
