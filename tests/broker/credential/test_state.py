"""States follow from facts, and what is served follows from states."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from greenroom.broker.credential.credential import SIGNED_OUT, Credential, CredentialOwner
from greenroom.broker.credential.state import CredentialState
from greenroom.broker.credential.state_table import (
    MARGIN,
    SERVING,
    CredentialFault,
    Freshness,
    Holding,
    freshness,
    state_of,
)
from greenroom.broker.token_issuer.classify import RefreshFailure, token_fingerprint
from greenroom.protocol.internal.broker.answers import AuthError, BearerSnapshot
from greenroom.protocol.internal.broker.body import AuthState
from greenroom.protocol.secrecy import Secret

NOW = 1_000_000.0


def login(expires_in: float | None = 3600.0, account: str = "acc", serial: int = 1, **more: float) -> Credential:
    return Credential(
        mode="chatgpt",
        bearer=Secret(f"access-{account}-{serial}"),
        refresh_token=Secret(f"refresh-{account}-{serial}"),
        identity=CredentialOwner("chatgpt", account, f"user-{account}"),
        expires_at=None if expires_in is None else NOW + expires_in,
        refreshed_at=more.get("refreshed_at", NOW),
        lifetime=more.get("lifetime", 864_000.0),
    )


KEY = Credential("apikey", Secret("sk-1"), identity=CredentialOwner("apikey"))


def standing(*credentials: Credential) -> CredentialState:
    made = CredentialState("epoch", b"secret")
    for credential in credentials:
        made.adopt(credential)
    return made


def dead(credential: Credential) -> RefreshFailure:
    assert credential.refresh_token is not None
    return RefreshFailure("expired", "log in again", token_fingerprint(credential.refresh_token))


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        (SIGNED_OUT, "SIGNED_OUT"),
        (Credential("chatgpt"), "SIGNED_OUT"),
        (Credential("apikey", Secret("")), "SIGNED_OUT"),
        (KEY, "API_KEY"),
        (login(301.0), "FRESH"),
        (login(300.0), "STALE"),
        (login(31.0), "STALE"),
        (login(30.0), "BLOCKED"),
        (login(-5.0), "BLOCKED"),
        (login(101.0, lifetime=400.0), "FRESH"),
        (login(100.0, lifetime=400.0), "STALE"),
        (login(None), "FRESH"),
        (login(None, refreshed_at=NOW - 9 * 86_400), "STALE"),
        (msgspec.structs.replace(login(None), refreshed_at=None), "FRESH"),
    ],
)
def test_state_of_what_is_held(credential: Credential, expected: AuthState) -> None:
    """K12: half a minute, five minutes, a quarter of a short life, eight days."""
    assert standing(credential).state(NOW) == expected


@pytest.mark.parametrize(
    ("expires_in", "trouble", "expected"),
    [
        (3600.0, "transient", "DEGRADED"),
        (100.0, "transient", "DEGRADED"),
        (10.0, "transient", "WAITING"),
        (3600.0, "permanent", "REAUTH_REQUIRED"),
        (10.0, "permanent", "REAUTH_REQUIRED"),
    ],
)
def test_state_after_a_failure(expires_in: float, trouble: str, expected: AuthState) -> None:
    made = standing(login(expires_in))
    if trouble == "transient":
        made.fail_transiently(5.0)
        assert made.retry_in(3.0) == 2.0
    else:
        assert made.fail_permanently(dead(made.credential))
        assert not made.fail_permanently(dead(made.credential))
    assert made.state(NOW) == expected
    made.adopt(login(serial=2))
    assert made.state(NOW) == "FRESH"


def test_every_combination_of_facts_has_a_state_and_every_state_a_meaning() -> None:
    states = {state_of(held, fresh, trouble) for held in Holding for fresh in Freshness for trouble in CredentialFault}
    assert states == set(SERVING)


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        (SIGNED_OUT, "signed_out"),
        (Credential(unusable="auth.json holds a login of the kind headers"), "not_supported"),
        (Credential("chatgpt"), "signed_out"),
    ],
)
def test_refusals(credential: Credential, code: str) -> None:
    answer = standing(credential).answer(NOW)
    assert isinstance(answer, AuthError)
    assert answer.code == code


def test_a_rejected_token_is_unusable() -> None:
    """K21."""
    made = standing(login())
    made.reject(made.generation)
    assert made.state(NOW) == "BLOCKED"
    assert made.answer(NOW) is None
    made.fail_permanently(dead(made.credential))
    answer = made.answer(NOW)
    assert isinstance(answer, AuthError)
    assert answer.code == "reauth_required"


def test_a_turn_finishes_under_its_account() -> None:
    """K18: until its token is refused or ends; then the turn is told that the account changed."""
    made = standing(login(600.0))
    begun = made.answer(NOW)
    assert isinstance(begun, BearerSnapshot)
    made.adopt(login(account="acc-2"))
    going_on = made.answer(NOW, pin=begun.identity_key)
    assert isinstance(going_on, BearerSnapshot)
    assert (going_on.token, going_on.generation) == (begun.token, begun.generation)
    fresh = made.answer(NOW)
    assert isinstance(fresh, BearerSnapshot)
    assert fresh.identity_key != begun.identity_key
    for ended in (NOW + 600.0, NOW):
        if ended == NOW:
            made.reject(begun.generation)
        answer = made.answer(ended, pin=begun.identity_key)
        assert isinstance(answer, AuthError)
        assert answer.code == "identity_mismatch"


def test_a_logout_ends_pinned_turns_too() -> None:
    """K17."""
    made = standing(login())
    begun = made.answer(NOW)
    assert isinstance(begun, BearerSnapshot)
    for credential in (SIGNED_OUT, KEY):
        made.adopt(credential)
        answer = made.answer(NOW, pin=begun.identity_key)
        assert isinstance(answer, AuthError)
    assert isinstance(made.answer(NOW), BearerSnapshot)


def test_a_bad_store_serves_only_turns_under_way() -> None:
    made = standing(login())
    begun = made.answer(NOW)
    assert isinstance(begun, BearerSnapshot)
    lost = made.lose_store("auth.json is not JSON")
    assert lost is not None
    assert lost.mode_changed
    assert made.lose_store("auth.json is not JSON") is None
    assert (made.state(NOW), made.mode) == ("STORE_BAD", "none")
    fresh = made.answer(NOW)
    assert isinstance(fresh, AuthError)
    assert fresh.code == "store_malformed"
    going_on = made.answer(NOW, pin=begun.identity_key)
    assert isinstance(going_on, BearerSnapshot)
    assert going_on.degraded
    change = made.adopt(login())
    assert change is not None
    assert change.mode_changed
    assert not change.identity_changed
    assert made.state(NOW) == "FRESH"


def test_only_a_change_counts() -> None:
    """The generation tells credential values apart."""
    made = standing(login())
    before = made.generation
    assert made.adopt(login()) is None
    assert made.generation == before
    change = made.adopt(login(serial=2))
    assert change is not None
    assert (change.generation, change.identity_changed, change.mode_changed) == (before + 1, False, False)
    change = made.adopt(KEY)
    assert change is not None
    assert (change.identity_changed, change.mode_changed) == (True, True)


def test_what_a_refusal_brought_about_is_remembered_for_a_minute() -> None:
    """K21."""
    made = standing(login())
    assert not made.was_forced_lately(0.0)
    made.adopt(login(serial=2), forced_at=100.0)
    assert made.was_forced_lately(159.0)
    assert not made.was_forced_lately(160.0)
    made.adopt(login(serial=3))
    assert not made.was_forced_lately(101.0)


def test_a_snapshot_holds_no_refresh_token() -> None:
    """Never served to workers."""
    snapshot = standing(login()).snapshot()
    assert snapshot is not None
    assert "refresh" not in repr(msgspec.to_builtins(snapshot))
    assert "access" not in repr(snapshot)


@given(st.floats(-1e6, 1e6), st.none() | st.floats(0, 1e6))
def test_freshness_only_gets_worse(left: float, lifetime: float | None) -> None:
    credential = msgspec.structs.replace(login(left), lifetime=lifetime)
    order = [Freshness.FRESH, Freshness.STALE, Freshness.UNUSABLE]
    seen = [order.index(freshness(credential, NOW + later)) for later in (0, 10, 100, 1000, 1e7)]
    assert seen == sorted(seen)
    assert (freshness(credential, NOW) is Freshness.UNUSABLE) == (NOW + left - NOW <= MARGIN)


class StandingMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order, the promises of a standing hold."""

    credentials = st.sampled_from(
        [
            SIGNED_OUT,
            KEY,
            *(login(end, account, serial) for end in (10.0, 200.0, 3600.0) for account in "ab" for serial in (1, 2)),
        ]
    )

    @initialize()
    def begin(self) -> None:
        self.standing = standing()
        self.now = NOW
        self.served: dict[int, str] = {}
        self.generation = 0

    @rule(credential=credentials)
    def adopt(self, credential: Credential) -> None:
        self.standing.adopt(credential)

    @rule()
    def lose(self) -> None:
        self.standing.lose_store("auth.json is not JSON")

    @rule()
    def reject(self) -> None:
        self.standing.reject(self.standing.generation)

    @rule(wait=st.floats(0, 100))
    def fail(self, wait: float) -> None:
        self.standing.fail_transiently(wait)

    @rule()
    def die(self) -> None:
        if self.standing.credential.refresh_token:
            self.standing.fail_permanently(dead(self.standing.credential))

    @rule(seconds=st.floats(0, 1000))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def one_generation_has_one_value(self) -> None:
        answer = self.standing.answer(self.now)
        if isinstance(answer, BearerSnapshot):
            assert self.served.setdefault(answer.generation, answer.token) == answer.token
            assert answer.generation == self.standing.generation
            assert self.standing.is_usable(self.now)

    @invariant()
    def generations_never_fall(self) -> None:
        assert self.standing.generation >= self.generation
        self.generation = self.standing.generation

    @invariant()
    def a_foreign_pin_never_gets_what_is_in_force(self) -> None:
        answer = self.standing.answer(self.now, pin="somebody else")
        assert isinstance(answer, AuthError)


TestStanding = StandingMachine.TestCase
TestStanding.settings = settings(max_examples=60, stateful_step_count=25)
