"""Where the credentials of a home are kept: what every such place can do, and the choice of one."""

import logging
from typing import Protocol

from greenroom.broker.credential.record import AuthRecord, StoreError
from greenroom.broker.storage.file import FileStore
from greenroom.protocol.choices import CredentialsStore
from greenroom.protocol.secrecy import Secret

log = logging.getLogger(__name__)

"""The values of `cli_auth_credentials_store`."""


class Store(Protocol):
    """One place. Who writes holds the store lock; writing is synchronous, reading need not be."""

    home: str

    @property
    def kind(self) -> CredentialsStore:
        """What it is kept in, as `reopen` takes it."""
        ...

    def facts(self) -> object:
        """Return what tells one content from another without reading it. Costs microseconds. Raises `OSError`."""
        ...

    def is_settled(self, facts: object) -> bool:
        """Return whether a later change is sure to show in the facts."""
        ...

    def read_once(self) -> AuthRecord | None:
        """Return what is there now; `None` for nothing. Raises `StoreError`."""
        ...

    async def read(self) -> AuthRecord | None:
        """Return what is there, giving it time to become readable. Raises `StoreError`."""
        ...

    def replace(self, record: AuthRecord) -> None:
        """Put a record in the place of what there is, durably. Raises `OSError`."""
        ...

    def remove(self) -> bool:
        """Remove what there is; return whether there was anything. Raises `OSError`."""
        ...

    def is_writable(self) -> bool:
        """Try whether a record of the present size could be written."""
        ...

    def sweep(self) -> None:
        """Clear away what writers left behind that died long ago."""
        ...


async def holds(store: Store, token: Secret) -> bool:
    """Return whether a store has this refresh token, or nothing at all that could be lost."""
    try:
        return has_token(await store.read(), token)
    except StoreError:
        return True


def has_token(record: AuthRecord | None, token: Secret) -> bool:
    """Return whether a record has this refresh token."""
    return record is not None and record.tokens is not None and Secret(record.tokens.refresh_token) == token


def open_store(home: str, kind: CredentialsStore) -> Store:
    """Return the store of a kind. It stays the same one for its life, whatever becomes of the keyring."""
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
    """Return another way to the store of another process, whose `kind` this is; there is none to one in memory."""
    if kind == "file":
        return FileStore(home)
    from greenroom.broker.storage.keyring import KeyringStore
    from greenroom.broker.storage.keyring_entry import Vault

    return KeyringStore(home, Vault(home), reads_file=kind == "auto")
