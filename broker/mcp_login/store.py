"""Stores the logins of MCP servers where current Codex releases do: in `.credentials.json`, or in the system's keyring.

A write changes nothing in the file but its record, and no member of that is lost. Writers hold the lock of the file.
Calls may block for as long as a keyring takes to answer: make them in a thread.
"""

import os
import time
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec

from greenroom.broker.mcp_login.record import Login, RecordMembers
from greenroom.broker.storage.file import replace_file
from greenroom.broker.storage.keyring_entry import Vault, VaultError
from greenroom.broker.storage.locks import STORE_TIMEOUT, locked
from greenroom.config.mcp_logins import LoginStore
from greenroom.protocol.errors import GreenroomError

FILE: Final = ".credentials.json"
LOCK: Final = ".credentials.lock"
SERVICE: Final = "Codex MCP Credentials"
KEYRING_SECONDS: Final = 10.0
"""Seconds for which an answer of the keyring, or its absence, is cached: it may be slow each time."""


class LoginStoreError(GreenroomError):
    """Logins can be neither read nor written. The text never contains their content."""


class LoginsStore:
    """The logins of one home."""

    def __init__(self, home: str, kind: LoginStore) -> None:
        self._home = home
        self._kind = kind
        self._path = os.path.join(home, FILE)
        self._known: dict[str, tuple[float, object]] = {}
        """The keyring's answer for a key, and the monotonic time until which it is cached."""

    def read(self, key: str, *, anew: bool = True) -> Login | None:
        """Return a login; `None` where there is none. Raises `LoginStoreError`.

        Without `anew` it may be a cached answer of the keyring, some seconds old.
        """
        found = None if self._kind == "keyring" else self._records().get(key)
        if found is None and self._kind != "file":
            found = self._from_keyring(key, anew=anew)
        return Login(found) if isinstance(found, dict) else None

    async def write(self, key: str, login: Login) -> None:
        """Write a login to where it was, else to the configured store. Raises `LoginStoreError`."""
        async with self._locked():
            self._known.pop(key, None)
            if self._kind == "keyring" or (self._kind == "auto" and key not in self._records()):
                try:
                    self._vault(key).write(msgspec.json.encode(dict(login.members)).decode())
                except VaultError as error:
                    if self._kind == "keyring":
                        raise LoginStoreError(str(error)) from None
                else:
                    return
            self._replace({**self._records(), key: dict(login.members)})

    async def remove(self, key: str) -> bool:
        """Remove a login wherever it is; return whether there was one. Raises `LoginStoreError`."""
        removed = False
        async with self._locked():
            self._known.pop(key, None)
            if self._kind != "keyring" and key in (records := self._records()):
                self._replace({name: record for name, record in records.items() if name != key})
                removed = True
            if self._kind != "file":
                try:
                    removed = self._vault(key).remove() or removed
                except VaultError as error:
                    if self._kind == "keyring":
                        raise LoginStoreError(str(error)) from None
        return removed

    def _locked(self) -> AbstractAsyncContextManager[int | None]:
        os.makedirs(self._home, mode=0o700, exist_ok=True)
        return locked(self._home, LOCK, STORE_TIMEOUT)

    def _vault(self, key: str) -> Vault:
        return Vault(self._home, SERVICE, key)

    def _from_keyring(self, key: str, *, anew: bool) -> object:
        until, found = self._known.get(key, (0.0, None))
        if anew or time.monotonic() >= until:
            found = self._asked(key)
            self._known[key] = time.monotonic() + KEYRING_SECONDS, found
        return found

    def _asked(self, key: str) -> object:
        try:
            text = self._vault(key).read()
            return None if text is None else msgspec.json.decode(text)
        except (VaultError, msgspec.MsgspecError) as error:
            if self._kind == "keyring":
                raise LoginStoreError(str(error)) from None
            return None

    def _records(self) -> RecordMembers:
        try:
            with open(self._path, "rb") as file:
                found = msgspec.json.decode(file.read())
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
            raise LoginStoreError(f"{FILE} cannot be read: {reason}") from None
        if not isinstance(found, dict):
            raise LoginStoreError(f"{FILE} cannot be read: it is no object")
        return found

    def _replace(self, records: RecordMembers) -> None:
        try:
            replace_file(self._path, msgspec.json.format(msgspec.json.encode(records)))
        except OSError as error:
            raise LoginStoreError(f"{FILE} cannot be written: {error.strerror}") from None
