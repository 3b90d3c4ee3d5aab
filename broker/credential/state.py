"""The credential in force, its generation, and its faults. Free of I/O and clocks.

`CredentialState` gets events and the time; its answers follow from the tables of `state_table`.
"""

import msgspec

from greenroom.broker.credential.credential import SIGNED_OUT, Credential
from greenroom.broker.credential.state_table import (
    MARGIN,
    NOT_LOGGED_IN,
    REPEATED,
    SERVING,
    CredentialFault,
    Freshness,
    Holding,
    Serving,
    freshness,
    holding,
    state_of,
)
from greenroom.broker.token_issuer.classify import TEXTS, RefreshFailure, token_fingerprint
from greenroom.protocol.internal.broker.answers import AuthError, BearerSnapshot
from greenroom.protocol.internal.broker.body import AuthMode, AuthState
from greenroom.protocol.internal.broker.broadcasts import CredentialStanding
from greenroom.protocol.secrecy import Secret


class HeldCredential(msgspec.Struct, frozen=True):
    """A credential and its generation."""

    generation: int
    credential: Credential


class Change(msgspec.Struct, frozen=True):
    """The change to another credential."""

    generation: int
    identity_changed: bool
    mode_changed: bool


class CredentialState:
    """The credential in force, its generation, and its faults."""

    def __init__(self, epoch: str, identity_secret: bytes) -> None:
        self.epoch = epoch
        self._identity_secret = identity_secret
        self._held = HeldCredential(1, SIGNED_OUT)
        self._previous: HeldCredential | None = None
        self._bad_store: str | None = None
        """Why the store cannot be read."""
        self._rejected: set[int] = set()
        self._forced_at: dict[int, float] = {}
        self._failure: RefreshFailure | None = None
        self._retry_at: float | None = None

    @property
    def credential(self) -> Credential:
        """The credential in force."""
        return self._held.credential

    @property
    def generation(self) -> int:
        """Its number; grows with every change."""
        return self._held.generation

    @property
    def mode(self) -> AuthMode:
        """The mode that clients are told."""
        return "none" if self._bad_store is not None else self.credential.mode

    @property
    def failure(self) -> RefreshFailure | None:
        """Why the refresh token in force will never work again, where that is known."""
        token = self.credential.refresh_token
        if self._failure is None or token is None or token_fingerprint(token) != self._failure.token_fingerprint:
            return None
        return self._failure

    def state(self, now: float) -> AuthState:
        """Return the state at `now` (wall clock)."""
        held = holding(self.credential) if self._bad_store is None else Holding.BAD_STORE
        return state_of(held, self._freshness(self._held, now), self._trouble())

    def is_usable(self, now: float) -> bool:
        """Return whether a request could carry the bearer."""
        return self.usable_for(now) > 0

    def usable_for(self, now: float) -> float:
        """Return for how many seconds a request could carry the bearer."""
        if holding(self.credential) is Holding.NOTHING or self._freshness(self._held, now) is Freshness.UNUSABLE:
            return 0.0
        return self._left(now) - MARGIN

    def retry_in(self, monotonic: float) -> float:
        """Return the seconds until a refresh may be tried again."""
        return 0.0 if self._retry_at is None else max(0.0, self._retry_at - monotonic)

    # What happened

    def adopt(self, credential: Credential, forced_at: float | None = None) -> Change | None:
        """Put a credential in force; `forced_at` (monotonic) where a refusal brought it about."""
        was_bad, self._bad_store = self._bad_store is not None, None
        before = self._held
        if credential == before.credential:
            self._note_forced(forced_at)
            mode_changed = credential.mode != "none"
            return Change(self.generation, identity_changed=False, mode_changed=mode_changed) if was_bad else None
        self._held = HeldCredential(before.generation + 1, credential)
        identity_changed = not credential.identity.is_same(before.credential.identity)
        if credential.mode == "none" or not credential.bearer:
            self._previous = None
        elif identity_changed:
            self._previous = before
        self._failure = self._retry_at = None
        self._note_forced(forced_at)
        return Change(
            self.generation,
            identity_changed,
            mode_changed=credential.mode != ("none" if was_bad else before.credential.mode),
        )

    def lose_store(self, reason: str) -> Change | None:
        """Note that the store cannot be read, and why, in words."""
        if self._bad_store is not None:
            return None
        before, self._bad_store = self.mode, reason
        return Change(self.generation, identity_changed=False, mode_changed=before != "none")

    def fail_transiently(self, retry_at: float) -> None:
        """Note that a refresh failed and may be tried again at `retry_at` (monotonic)."""
        self._retry_at = retry_at

    def fail_permanently(self, failure: RefreshFailure) -> bool:
        """Note that a refresh token will never work again; return whether that is news."""
        news, self._failure = self._failure != failure, failure
        self._retry_at = None
        return news

    def reject(self, generation: int) -> None:
        """Note that the model's server refused the token of a generation."""
        if holding(self.credential) is Holding.KEY:
            return  # there is no other to be had
        self._rejected = {number for number in self._rejected if number >= generation - 8} | {generation}

    def was_forced_lately(self, monotonic: float) -> bool:
        """Return whether the credential in force was obtained because of a refusal, moments ago."""
        forced = self._forced_at.get(self.generation)
        return forced is not None and monotonic - forced < REPEATED

    # Consequences

    def answer(
        self, now: float, min_valid: float = MARGIN, pin: str | None = None
    ) -> BearerSnapshot | AuthError | None:
        """Return the answer to a request for a bearer; `None` where it has to wait for a refresh."""
        state = self.state(now)
        if pin is not None and state != "SIGNED_OUT" and pin != self.identity_key():
            return self._answer_of_previous(now, pin)
        if state == "STORE_BAD" and pin is not None and self.is_usable(now):
            return self._snapshot(self._held, degraded=True)
        if state == "REAUTH_REQUIRED" and self.is_usable(now):
            return self._snapshot(self._held, degraded=True)
        serving = SERVING[state]
        if serving is Serving.REFUSAL:
            return self._refusal(state)
        if serving is Serving.AFTER_REFRESH or (state == "STALE" and self._left(now) < min_valid):
            return None
        return self._snapshot(self._held, degraded=serving is Serving.DEGRADED)

    def snapshot(self) -> BearerSnapshot | None:
        """Return the credential in force in the form for workers."""
        return self._snapshot(self._held, degraded=False) if self.credential.bearer else None

    def outline(self, now: float, ahead: float = 0.0) -> CredentialStanding:
        """Return the state for the supervisor; `ahead`: seconds that the system's clock is ahead of the wall clock."""
        expires_at = self.credential.expires_at
        return CredentialStanding(
            generation=self.generation,
            mode=self.mode,
            state=self.state(now),
            expires_at=None if expires_at is None else int(expires_at + ahead),
            plan_type=self.credential.plan_type,
        )

    def identity_key(self) -> str:
        """Return a key that distinguishes the identity in force from others."""
        return self.credential.identity.key(self._identity_secret)

    def _answer_of_previous(self, now: float, pin: str) -> BearerSnapshot | AuthError:
        """Let a turn finish under the account that it began with, as long as its token is valid."""
        held = self._previous
        if (
            held is not None
            and held.credential.identity.key(self._identity_secret) == pin
            and self._freshness(held, now) is not Freshness.UNUSABLE
        ):
            return self._snapshot(held, degraded=False)
        return AuthError(code="identity_mismatch", user_text=TEXTS["account_changed"], reason="account_changed")

    def _refusal(self, state: AuthState) -> AuthError:
        if state == "STORE_BAD":
            return AuthError(code="store_malformed", user_text=f"{self._bad_store}; log in again")
        if state == "REAUTH_REQUIRED" and (failure := self.failure):
            return AuthError(code="reauth_required", user_text=failure.user_text, reason=failure.reason)
        if self.credential.unusable is not None:
            return AuthError(code="not_supported", user_text=self.credential.unusable)
        return AuthError(code="signed_out", user_text=NOT_LOGGED_IN)

    def _note_forced(self, forced_at: float | None) -> None:
        if forced_at is not None:
            self._forced_at = {self.generation: forced_at}

    def _trouble(self) -> CredentialFault:
        if self.failure is not None:
            return CredentialFault.PERMANENT
        return CredentialFault.NONE if self._retry_at is None else CredentialFault.TRANSIENT

    def _freshness(self, held: HeldCredential, now: float) -> Freshness:
        return Freshness.UNUSABLE if held.generation in self._rejected else freshness(held.credential, now)

    def _left(self, now: float) -> float:
        expires_at = self.credential.expires_at
        return float("inf") if expires_at is None else expires_at - now

    def _snapshot(self, held: HeldCredential, *, degraded: bool) -> BearerSnapshot:
        credential = held.credential
        return BearerSnapshot(
            generation=held.generation,
            broker_epoch=self.epoch,
            mode=credential.mode,
            token=(credential.bearer or Secret("")).reveal(),
            account_id=credential.identity.account_id,
            user_id=credential.identity.user_id,
            plan_type=credential.plan_type,
            expires_at=None if credential.expires_at is None else int(credential.expires_at),
            identity_key=credential.identity.key(self._identity_secret),
            source=credential.source,
            degraded=degraded,
        )
