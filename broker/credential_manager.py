"""Synchronizes the credential in force with the store: adopts changes of others, and writes its own.

A content is replaced only if it is the one that the new content was derived from (compare-and-swap), and nothing that a
logout removed is restored (docs/security.md, K5 to K7, K10, K14).
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.broker.clock import Clock
from greenroom.broker.credential.credential import resolve_credential
from greenroom.broker.credential.record import AuthRecord, StoreError
from greenroom.broker.credential.refresh_request import Fate, RefreshRequest
from greenroom.broker.credential.rules import ANY_LOGIN, LoginRules
from greenroom.broker.credential.state import Change, CredentialState
from greenroom.broker.storage.locks import writing
from greenroom.broker.storage.store import Store, holds
from greenroom.protocol.choices import PreferredAuth
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, AuthProblem
from greenroom.protocol.secrecy import Secret

log = logging.getLogger(__name__)

ChangeReason: TypeAlias = Literal["login", "logout", "refresh", "external", "env"]

PERSIST_PAUSE: Final = 5.0
"""Seconds between two attempts to write after a failure."""
_UNKNOWN: Final = object()


class _Unwritten(msgspec.Struct, frozen=True):
    """Tokens that could not be written yet, and the spent one that they replace."""

    spent: Secret
    record: AuthRecord


class CredentialManager:
    """The credential of one home."""

    def __init__(
        self,
        store: Store,
        environment: Mapping[str, str],
        preferred: PreferredAuth,
        clock: Clock,
        on_change: Callable[[AuthChanged], None],
        on_problem: Callable[[AuthProblem], None],
        identity_secret: bytes,
        rules: LoginRules = ANY_LOGIN,
        *,
        environment_key_first: bool = False,
    ) -> None:
        """`identity_secret` is the same for all brokers of a supervisor: a turn may ask several of them.

        `environment_key_first` is described at `resolve_credential`.
        """
        self.store = store
        self.clock = clock
        self.in_force = CredentialState(secrets.token_hex(8), identity_secret)
        self.record: AuthRecord | None = None
        self.epoch = 0
        """Counts logins and logouts through this broker; a transaction from before one must not be written after it."""
        self._environment = environment
        self._preferred: PreferredAuth = preferred
        self._rules = rules
        self._environment_key_first = environment_key_first
        self._on_change = on_change
        self._on_problem = on_problem
        self._facts: object = _UNKNOWN
        self._reading = asyncio.Lock()
        self._is_first = True
        self._unwritten: _Unwritten | None = None
        self._persist_at = 0.0
        self._stirred = asyncio.Event()

    def is_stale(self) -> bool:
        """Return whether the store may have changed."""
        return self._facts is _UNKNOWN or self._look() != self._facts

    async def reload(self, *, always: bool = False) -> bool:
        """Adopt the content of the store; return whether that is a change."""
        async with self._reading:
            if not always and not self.is_stale():
                return False
            facts = self._look()
            try:
                record = await self.store.read()
            except StoreError as error:
                self._facts = facts
                return self._lose(error)
            self._facts = facts if self.store.is_settled(facts) else _UNKNOWN
            if self._is_what_was_spent(record):
                return False
            self._unwritten = None
            return self._install(record, "external") is not None

    def order(self, spent: Secret, record: AuthRecord) -> RefreshRequest:
        """Return the request to refresh a token, with the token that the new one is to replace."""
        return RefreshRequest(record, spent if self._unwritten is None else self._unwritten.spent)

    async def commit(
        self, order: RefreshRequest, fresh: AuthRecord, epoch: int, forced_at: float | None, fate: Fate
    ) -> bool:
        """Adopt the outcome of a refresh, and keep what could not be written.

        Returns `False`, and adopts the store instead, where the store has changed otherwise, or after a login or logout
        meanwhile.
        """
        async with writing(self.store.home, must=False):
            expected = _refresh_token(fresh) if fate == "stored" else order.stored
            if fate == "superseded" or epoch != self.epoch or not await holds(self.store, expected):
                log.warning("refresh result superseded")
                await self.reload(always=True)
                return False
            if fate == "stored":
                self._unwritten = None
            else:
                self._write_or_keep(_Unwritten(order.stored, fresh))
            self._install(fresh, "refresh", forced_at)
        return True

    async def log_in(self, make: Callable[[AuthRecord | None], AuthRecord]) -> None:
        """Replace the store by what `make` returns for its content. Raises `OSError`."""
        async with writing(self.store.home, must=True):
            record = make(self._read_leniently())
            with self._new_epoch():
                self.store.replace(record)
            self._install(record, "login")

    async def log_out(self) -> bool:
        """Remove the store; return whether there was one. Raises `OSError`."""
        async with writing(self.store.home, must=True):
            with self._new_epoch():
                removed = self.store.remove()
            self._install(None, "logout")
        return removed

    async def persist(self, *, now: bool = False) -> None:
        """Retry a failed write, once its time has come."""
        if self._unwritten is None or (not now and self.clock.monotonic() < self._persist_at):
            return
        async with writing(self.store.home, must=False):
            unwritten = self._unwritten
            if unwritten is not None and await holds(self.store, unwritten.spent):
                found = self._read_leniently()
                if found is not None:  # others may have written beside the tokens meanwhile
                    unwritten = msgspec.structs.replace(unwritten, record=found.renewed_by(unwritten.record))
                self._write_or_keep(unwritten)

    def stir(self) -> None:
        """Wake all waiting requests to check again."""
        self._stirred.set()
        self._stirred = asyncio.Event()

    async def stirred(self, seconds: float) -> None:
        """Wait for an event that may matter to waiting requests, at most for some seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return

    @property
    def is_written(self) -> bool:
        """Whether what is in force is also in the store."""
        return self._unwritten is None

    def report(self, reason: str, user_text: str) -> None:
        """Report a problem to the supervisor."""
        state = self.in_force.state(self.clock.wall())
        self._on_problem(AuthProblem(state=state, reason=reason, user_text=user_text))

    def _install(
        self, record: AuthRecord | None, reason: ChangeReason, forced_at: float | None = None
    ) -> Change | None:
        self.record = record
        resolved = resolve_credential(
            record, self._environment, self._preferred, environment_key_first=self._environment_key_first
        )
        credential = self._rules.applied(resolved)
        change = self.in_force.adopt(credential, forced_at)
        is_first, self._is_first = self._is_first, False
        if change is not None and not is_first:
            self._announce(change, reason)
        return change

    def _lose(self, error: StoreError) -> bool:
        change = self.in_force.lose_store(str(error))
        if change is None:
            return False
        log.error("%s", error)
        self.report("store_malformed", str(error))
        is_first, self._is_first = self._is_first, False
        if not is_first:
            self._announce(change, "external")
        return True

    def _announce(self, change: Change, reason: ChangeReason) -> None:
        state = self.in_force.state(self.clock.wall())
        self.stir()
        log.info("generation %d in force: %s (%s)", change.generation, state, reason)
        self._on_change(
            AuthChanged(
                generation=change.generation,
                state=state,
                mode=self.in_force.mode,
                plan_type=self.in_force.credential.plan_type,
                identity_changed=change.identity_changed,
                mode_changed=change.mode_changed,
                reason=reason,
            )
        )

    def _write_or_keep(self, unwritten: _Unwritten) -> None:
        try:
            self.store.replace(unwritten.record)
        except OSError as error:
            log.error("the new tokens cannot be stored (%s) and are kept in memory", error.strerror)
            if self._unwritten is None:
                self.report("store_unwritable", f"the new tokens cannot be stored: {error.strerror}")
            self._unwritten = unwritten
            self._persist_at = self.clock.monotonic() + PERSIST_PAUSE
        else:
            self._unwritten = None

    def _is_what_was_spent(self, record: AuthRecord | None) -> bool:
        if self._unwritten is None or record is None or record.tokens is None:
            return False
        return Secret(record.tokens.refresh_token) == self._unwritten.spent

    def _read_leniently(self) -> AuthRecord | None:
        try:
            return self.store.read_once()
        except StoreError:
            return None

    @contextmanager
    def _new_epoch(self) -> Iterator[None]:
        """Invalidate transactions that began before, unless the store stays unchanged after all."""
        self.epoch += 1
        try:
            yield
        except OSError:
            self.epoch -= 1
            raise
        self._unwritten = None

    def _look(self) -> object:
        try:
            return self.store.facts()
        except OSError as error:
            return error.errno


def _refresh_token(record: AuthRecord) -> Secret:
    return Secret("" if record.tokens is None else record.tokens.refresh_token)
