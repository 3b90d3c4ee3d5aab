"""Stores the credentials in memory only (`cli_auth_credentials_store` = `ephemeral`); they end with the process."""

from typing import Final

from greenroom.broker.credential.record import AuthRecord


class MemoryStore:
    """The store of one process (`greenroom.broker.storage.store.Store`)."""

    kind: Final = "ephemeral"

    def __init__(self, home: str) -> None:
        self.home = home
        self._record: AuthRecord | None = None
        self._changes = 0

    def facts(self) -> int:
        """Return the number of changes."""
        return self._changes

    def is_settled(self, _: object) -> bool:
        """Return that every change is detected."""
        return True

    def read_once(self) -> AuthRecord | None:
        """Return the record."""
        return self._record

    async def read(self) -> AuthRecord | None:
        """Return the record."""
        return self._record

    def replace(self, record: AuthRecord) -> None:
        """Replace the record."""
        self._record = record
        self._changes += 1

    def remove(self) -> bool:
        """Remove the record; return whether there was one."""
        was_there, self._record = self._record is not None, None
        self._changes += 1
        return was_there

    def is_writable(self) -> bool:
        """Return that it is."""
        return True

    def sweep(self) -> None:
        """Do nothing: nothing is left behind."""
