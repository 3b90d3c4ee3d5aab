"""One exchange of a refresh token, from the request to the disk (docs/security.md, K6).

It is independent of its caller: once it has begun, the issuer's tokens are stored even if the caller is gone. The
process that executes it holds the refresh lock.
"""

import logging
from typing import Final, Protocol

import msgspec

from greenroom.broker.clock import Clock
from greenroom.broker.credential.record import AuthRecord, StoreError
from greenroom.broker.credential.refresh_request import Fate, RefreshRequest
from greenroom.broker.refresh.journal import Journal
from greenroom.broker.refresh.merge import merge_tokens
from greenroom.broker.storage.locks import writing
from greenroom.broker.storage.store import Store, has_token
from greenroom.broker.token_issuer.classify import (
    REASONS,
    AnswerClass,
    RefreshAnswer,
    RefreshAnswered,
    RefreshRefused,
    Unanswered,
    Unreached,
    classify_answer,
    token_fingerprint,
)
from greenroom.broker.token_issuer.client import Issuer
from greenroom.protocol.secrecy import Secret

log = logging.getLogger(__name__)


class RefreshOutcome(msgspec.Struct, frozen=True):
    """The outcome of an exchange."""

    answer: RefreshAnswer
    fate: Fate = "nothing"
    fresh: AuthRecord | None = None
    """The record with the new tokens; `None` where there are none, or where they are of another account."""

    @property
    def has_bearer(self) -> bool:
        """Whether there is a new access token."""
        return isinstance(self.answer, RefreshAnswered) and bool(self.answer.access_token)


class RefreshExecutor(Protocol):
    """Executes exchanges."""

    async def perform(self, order: RefreshRequest, journal: Journal, lock: int | None) -> RefreshOutcome:
        """Exchange once. Every outcome is a value. The journal is up to date when this returns."""
        ...

    def hurry(self) -> None:
        """Make an exchange under way end soon, because the server ends."""


class InProcessExecutor:
    """Executes exchanges in this process: the refresh process, or a broker whose store is in memory."""

    def __init__(self, store: Store, issuer: Issuer, clock: Clock) -> None:
        self._store = store
        self._issuer = issuer
        self._clock = clock

    async def perform(self, order: RefreshRequest, journal: Journal, lock: int | None) -> RefreshOutcome:
        """Exchange once."""
        answer = await self._issuer.refresh(order.token)
        if not isinstance(answer, RefreshAnswered):
            note(journal, lock, token_fingerprint(order.token), answer)
            return RefreshOutcome(answer)
        fresh = merge_tokens(order.record, answer, self._clock.wall())
        fate: Fate = "nothing"
        if fresh is not None:
            fate, fresh = await _put(self._store, order.stored, fresh)
        if fate != "unwritable":
            journal.settle(lock)
        return RefreshOutcome(answer, fate, fresh)

    def hurry(self) -> None:
        """Do nothing: the caller's wait is bounded."""


async def _put(store: Store, stored: Secret, fresh: AuthRecord) -> tuple[Fate, AuthRecord]:
    """Write over what the new tokens belong in the place of, and over nothing else (K7, K10).

    Return what has become of it, and the record: what others have written beside the tokens meanwhile stays.
    """
    async with writing(store.home, must=False):
        found = await _readable(store)
        if found is not _UNREADABLE:
            if found is None or not has_token(found, stored):
                log.warning("refresh result superseded")
                return "superseded", fresh
            fresh = found.renewed_by(fresh)
        try:
            store.replace(fresh)
        except OSError as error:
            log.error("the new tokens cannot be stored: %s", error.strerror)
            return "unwritable", fresh
    return "stored", fresh


_UNREADABLE: Final = AuthRecord()
"""Stands for a store that holds nothing at all that could be lost."""


async def _readable(store: Store) -> AuthRecord | None:
    try:
        return await store.read()
    except StoreError:
        return _UNREADABLE


def note(journal: Journal, lock: int | None, mark: str, answer: RefreshRefused | Unreached | Unanswered) -> None:
    """Record for the next holder of the lock what the answer means for the token."""
    reason = REASONS.get(answer.code or "") if isinstance(answer, RefreshRefused) else None
    match classify_answer(answer):
        case AnswerClass.AMBIGUOUS:
            return
        case AnswerClass.PERMANENT if reason is not None:
            journal.condemn(lock, mark, reason)
        case _:  # a bare 401 may be a temporary fault of the issuer: a restart may try again
            journal.withdraw(lock)
