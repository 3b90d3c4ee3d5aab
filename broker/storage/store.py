"""The interface of the stores of a home's credentials, and the choice of one."""

import logging
from typing import Protocol

from greenroom.broker.credential.record import AuthRecord, StoreError
from greenroom.broker.storage.file import FileStore
from greenroom.protocol.choices import CredentialsStore
from greenroom.protocol.secrecy import Secret

log = logging.getLogger(__name__)

"""The values of `cli_auth_credentials_store`."""


class Store(Protocol):
    """One store. Writers hold the store lock; writing is synchronous, reading need not be."""

    home: str

    @property
    def kind(self) -> CredentialsStore:
        """Its kind, as `reopen` takes it."""
        ...

    def facts(self) -> object:
        """Return a value that changes with the content, without reading it. Costs microseconds. Raises `OSError`."""
        ...

    def is_settled(self, facts: object) -> bool:
        """Return whether a later change is certain to change the facts."""
        ...

    def read_once(self) -> AuthRecord | None:
        """Return the content; `None` for none. Raises `StoreError`."""
        ...

    async def read(self) -> AuthRecord | None:
        """Return the content, giving it time to become readable. Raises `StoreError`."""
        ...

    def replace(self, record: AuthRecord) -> None:
        """Replace the content by a record, durably. Raises `OSError`."""
        ...

    def remove(self) -> bool:
        """Remove the content; return whether there was any. Raises `OSError`."""
        ...

    def is_writable(self) -> bool:
        """Return whether a record of the present size can be written, by trying it."""
        ...

    def sweep(self) -> None:
        """Remove temporary files of writers that died long ago."""
        ...


async def holds(store: Store, token: Secret) -> bool:
    """Return whether a store has this refresh token, or no content that could be lost."""
    try:
        return has_token(await store.read(), token)
    except StoreError:
        return True


def has_token(record: AuthRecord | None, token: Secret) -> bool:
    """Return whether a record has this refresh token."""
    return record is not None and record.tokens is not None and Secret(record.tokens.refresh_token) == token


def open_store(home: str, kind: CredentialsStore) -> Store:
    """Return the store of a kind. The choice does not change during its lifetime, even if the keyring fails."""
    if kind == "file":
        return FileStore(home)
    if kind == "ephemeral":
        from greenroom.broker.storage.memory import MemoryStore

        return MemoryStore(home)
    from greenroom.broker.storage.keyring_entry import Vault, VaultError

    if kind == "auto":
        try:
            Vault(home).read()
        except VaultError as error:
            log.warning("credentials are kept in auth.json: %s", error)
            return FileStore(home)
    return reopen(home, kind)


def reopen(home: str, kind: CredentialsStore) -> Store:
    """Open the store of another process, whose `kind` this is; one in memory cannot be opened."""
    if kind == "file":
        return FileStore(home)
    from greenroom.broker.storage.keyring import KeyringStore
    from greenroom.broker.storage.keyring_entry import Vault

    return KeyringStore(home, Vault(home), reads_file=kind == "auto")
