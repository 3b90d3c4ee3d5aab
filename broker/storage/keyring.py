"""Stores the credentials in the system's keyring, without a file beside it.

A keyring does not notify of changes. Instances of Greenroom detect each other's changes by the time of the store lock's
file; changes of other programs are seen when the entry is read again, after `REREAD` seconds. While a keyring is locked
or does not answer, its last content stays in force.
"""

import asyncio
import errno
import logging
import os
import time
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from greenroom.broker.credential.record import AuthRecord, StoreError
from greenroom.broker.storage.file import FileFacts, FileStore, file_facts
from greenroom.broker.storage.keyring_entry import Vault, VaultError
from greenroom.broker.storage.locks import STORE

log = logging.getLogger(__name__)

REREAD: Final = 10.0
"""Seconds after which the entry is read again."""


@dataclass(frozen=True, slots=True)
class KeyringFacts:
    """What distinguishes one content from another, as far as that is possible."""

    period: int
    """Counts the times at which the entry is to be read again."""
    changed: FileFacts | None
    """Of the store lock's file."""
    file: FileFacts | None
    """Of the file that is read where the keyring holds nothing."""


class KeyringStore:
    """The entry of one home (`greenroom.broker.storage.store.Store`).

    `reads_file`: while there is no entry, `auth.json` is read; a write goes to the keyring, and removes the file.
    """

    def __init__(self, home: str, vault: Vault, *, reads_file: bool = False, reread_s: float = REREAD) -> None:
        self.home = home
        self.kind: Final[Literal["auto", "keyring"]] = "auto" if reads_file else "keyring"
        self._vault = vault
        self._file = FileStore(home)
        self._reads_file, self._reread_s = reads_file, reread_s
        self._mark = os.path.join(home, STORE)
        self._known: AuthRecord | None = None
        self._has_answered = False
        self._is_silent = False

    def facts(self) -> KeyringFacts:
        """Return a value that stays equal while the content is unchanged. Raises `OSError`."""
        file = self._file.facts() if self._reads_file else None
        return KeyringFacts(int(time.monotonic() / self._reread_s), file_facts(self._mark), file)

    def is_settled(self, facts: object) -> bool:
        """Return whether a later change by an instance of Greenroom is certain to change the facts."""
        if not isinstance(facts, KeyringFacts):
            return False
        return all(file is None or file.is_settled for file in (facts.changed, facts.file))

    def read_once(self) -> AuthRecord | None:
        """Return the content; `None` for none. Raises `StoreError`."""
        try:
            text = self._vault.read()
        except VaultError as error:
            raise StoreError(f"failed to load CLI auth from keyring: {error}") from None
        return self._record(text)

    async def read(self) -> AuthRecord | None:
        """Return the content, or the last one while the keyring does not answer; non-blocking. Raises `StoreError`."""
        try:
            text = await asyncio.to_thread(self._vault.read)
        except VaultError as error:
            if not self._has_answered:
                raise StoreError(f"failed to load CLI auth from keyring: {error}") from None
            self._complain(error)
            return self._known
        self._is_silent = False
        self._know(self._record(text))
        return self._known

    def replace(self, record: AuthRecord) -> None:
        """Replace the entry, and remove the file. Raises `OSError`."""
        try:
            self._vault.write(msgspec.json.format(record.encoded(), indent=-1).decode())
        except VaultError as error:
            raise OSError(errno.EIO, f"failed to write OAuth tokens to keyring: {error}") from None
        finally:
            self._show_change()
        self._know(record)
        self._remove_file()

    def remove(self) -> bool:
        """Remove entry and file; return whether there was either. Raises `OSError`."""
        try:
            had_entry = self._vault.remove()
        except VaultError as error:
            raise OSError(errno.EIO, f"failed to delete auth from keyring: {error}") from None
        finally:
            self._show_change()
        self._know(None)
        return self._file.remove() or had_entry

    def is_writable(self) -> bool:
        """Return that it is: a keyring that can be read can be written to."""
        return True

    def sweep(self) -> None:
        """Remove temporary files of writers of the file."""
        self._file.sweep()

    def _record(self, text: str | None) -> AuthRecord | None:
        if text is None:
            return self._file.read_once() if self._reads_file else None
        try:
            return AuthRecord.read(text.encode("utf-8", "replace"))
        except StoreError as error:
            raise StoreError(f"failed to deserialize CLI auth from keyring: {error}") from None

    def _know(self, record: AuthRecord | None) -> None:
        self._known, self._has_answered = record, True

    def _complain(self, error: VaultError) -> None:
        if not self._is_silent:
            self._is_silent = True
            log.warning("going on with what the keyring gave before: %s", error)

    def _remove_file(self) -> None:
        try:
            self._file.remove()
        except OSError as error:
            log.warning("auth.json is still there beside the keyring: %s", error.strerror)

    def _show_change(self) -> None:
        try:
            os.utime(self._mark)
        except OSError as error:
            log.info("other instances will see the change later: %s", error.strerror)
