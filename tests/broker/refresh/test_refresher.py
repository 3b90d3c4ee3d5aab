"""Refreshing refreshes a token once, never loses a new one, and never asks twice in vain."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from greenroom.broker.credential.record import AuthRecord
from greenroom.broker.refresh.refresher import RefreshResult, Trigger
from greenroom.broker.storage import file as file_store
from greenroom.broker.storage import locks
from greenroom.broker.token_issuer.classify import TEXTS
from greenroom.protocol.internal.broker import AuthError, BearerSnapshot
from tests.broker.homes import EXPIRED, Parts, read, stored_refresh_token, tokens, write
from tests.broker.issuer import Deed, MockIssuer, id_token, refusal

Scene = Callable[[MockIssuer, Parts], Awaitable[None]]


def play(home: Any, scene: Scene, lasts: float = EXPIRED, **issuer: Any) -> None:
    """Run a scene on a home that is logged in, its access token lasting so long."""

    async def run() -> None:
        async with MockIssuer(**issuer) as mock:
            write(str(home), tokens(mock.grant(), lasts))
            parts = Parts(str(home), mock)
            await parts.manager.reload()
            await scene(mock, parts)

    asyncio.run(run())


def test_success_replaces_tokens_and_keeps_the_rest(tmp_path: Any) -> None:
    """K6, scenario 27: one request with exactly three members; a missing id token keeps the old one."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        content = read(parts.home) | {"agent_identity": {"task_id": [1, 2.5]}, "later": None}
        write(parts.home, content)
        issuer.deeds.append(Deed(merges={"id_token": None}))
        snapshot = await parts.snapshot()
        after = read(parts.home)
        assert [sorted(request) for request in issuer.refreshes] == [["client_id", "grant_type", "refresh_token"]]
        assert after["tokens"]["access_token"] == snapshot.token  # type: ignore[index]
        assert after["tokens"]["id_token"] == content["tokens"]["id_token"]  # type: ignore[index]
        assert after["agent_identity"] == {"task_id": [1, 2.5]}
        assert "later" in after
        assert str(after["last_refresh"]) > str(content["last_refresh"])
        assert parts.state == "FRESH"
        assert os.stat(tmp_path / "auth.json").st_mode & 0o777 == 0o600

    play(tmp_path, scene)


def test_everybody_shares_one_refresh(tmp_path: Any) -> None:
    """K4, scenario 42: 50 questions at once on an expired token cause one request and get one answer."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        answers = await asyncio.gather(*(parts.snapshot() for _ in range(50)))
        assert len(issuer.refreshes) == 1
        assert len({answer.token for answer in answers}) == 1

    play(tmp_path, scene)


def test_an_impatient_caller_does_not_stop_the_refresh(tmp_path: Any) -> None:
    """K4: a deadline ends the waiting, not the refresh."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        gate = asyncio.Event()
        issuer.deeds.append(Deed(gate=gate))
        patient = asyncio.create_task(parts.snapshot())
        await issuer.arrived(1)
        hasty = await parts.get(deadline=0.05)
        assert isinstance(hasty, AuthError)
        assert hasty.code == "transient"
        gate.set()
        assert (await patient).token
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene)


def test_two_brokers_on_one_home_refresh_once(tmp_path: Any) -> None:
    """K5, scenario 43: the loser of the lock adopts what the winner wrote."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        other = Parts(parts.home, issuer)
        first, second = await asyncio.gather(parts.snapshot(), other.snapshot())
        assert first.token == second.token
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene)


def test_newer_tokens_on_disk_are_adopted_without_a_request(tmp_path: Any) -> None:
    """K6, scenarios 28 and 31."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        await parts.manager.reload()
        write(parts.home, tokens(issuer.grant(), serial=7))
        assert await parts.refresher.join(Trigger.NEED) is RefreshResult.ADOPTED
        assert parts.state == "FRESH"
        assert issuer.refreshes == []

    play(tmp_path, scene)


def test_another_account_on_disk_is_adopted_not_refreshed(tmp_path: Any) -> None:
    """K6, K14, scenario 29: the account that was there is never written over the one that is."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        await parts.manager.reload()
        theirs = tokens(issuer.grant(), EXPIRED, account="acc-2", user="user-2")
        write(parts.home, theirs)
        assert await parts.refresher.join(Trigger.NEED) is RefreshResult.ADOPTED
        assert parts.changes[-1].identity_changed
        assert issuer.refreshes == []
        assert read(parts.home) == theirs

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("lasts", "requests", "state"),
    [(240.0, 1, "STALE"), (360.0, 0, "FRESH"), (EXPIRED, 1, "BLOCKED"), (29.0, 1, "BLOCKED")],
)
def test_when_a_token_is_refreshed(tmp_path: Any, lasts: float, requests: int, state: str) -> None:
    """K12, scenario 30: five minutes before the end in the background, half a minute before it at once."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        await parts.manager.reload()
        assert parts.state == state
        parts.refresher.consider()
        parts.clock.ahead += 30.5 if state == "STALE" else 0.0
        parts.refresher.consider()
        await parts.landed()
        assert len(issuer.refreshes) == requests

    play(tmp_path, scene, lasts)


def test_a_stale_token_is_served_while_it_is_refreshed(tmp_path: Any) -> None:
    """K12: advisory refresh; nobody waits for it."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        gate = asyncio.Event()
        issuer.deeds.append(Deed(gate=gate))
        before = await parts.snapshot()
        refresh = parts.refresher.join(Trigger.NEED)
        await issuer.arrived(1)
        assert (await parts.snapshot()).token == before.token
        gate.set()
        await refresh
        assert (await parts.snapshot()).token != before.token

    play(tmp_path, scene, 200.0)


def test_an_opaque_token_is_refreshed_by_age(tmp_path: Any) -> None:
    """K12, scenario 30: no `exp` and a last refresh nine days ago; with an `exp` the age does not matter."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        content = read(parts.home)
        content["last_refresh"] = "2020-01-01T00:00:00.123456789Z"
        write(parts.home, content)
        await parts.manager.reload()
        assert parts.state == "FRESH"
        content["tokens"]["access_token"] = "opaque"  # type: ignore[index]
        write(parts.home, content)
        await parts.manager.reload()
        assert parts.state == "STALE"

    play(tmp_path, scene, 3600.0)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "refresh_token_expired", "expired"),
        (400, "refresh_token_reused", "exhausted"),
        (401, "refresh_token_invalidated", "revoked"),
        (400, "app_session_terminated", "other"),
        (400, "invalid_grant", "other"),
        (401, None, "other"),
    ],
)
def test_a_permanent_failure_is_remembered(tmp_path: Any, status: int, code: str | None, reason: str) -> None:
    """K23, K26, scenarios 32, 33 and 37: said once, no second request, the store untouched."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        before = read(parts.home)
        issuer.deeds.append(refusal(status, code))
        for _ in range(3):
            answer = await parts.get()
            assert isinstance(answer, AuthError)
            assert (answer.code, answer.user_text) == ("reauth_required", TEXTS[reason])
        assert len(issuer.refreshes) == 1
        assert [problem.reason for problem in parts.problems] == [reason]
        assert read(parts.home) == before

    play(tmp_path, scene)


@pytest.mark.parametrize(("code", "requests"), [("refresh_token_reused", 1), (None, 2)])
def test_nobody_sends_a_dead_token_again(tmp_path: Any, code: str | None, requests: int) -> None:
    """K6: another instance and a restarted broker know of it; a 401 without a reason they try once more."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds += [refusal(401, code), refusal(401, code)]
        for made in (parts, Parts(parts.home, issuer)):
            answer = await made.get()
            assert isinstance(answer, AuthError)
            assert answer.user_text == TEXTS["exhausted" if code else "other"]
            assert len(made.problems) == 1
        assert len(issuer.refreshes) == requests
        issuer.deeds.clear()
        write(parts.home, tokens(issuer.grant(), EXPIRED))
        await parts.snapshot()

    play(tmp_path, scene)


def test_a_new_token_on_disk_ends_a_permanent_failure(tmp_path: Any) -> None:
    """K26, scenario 34: total requests stay at one."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(refusal(401, "refresh_token_expired"))
        assert isinstance(await parts.get(), AuthError)
        write(parts.home, tokens(issuer.grant()))
        await parts.snapshot()
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene)


def test_a_dead_refresh_token_leaves_the_access_token_in_use(tmp_path: Any) -> None:
    """State `REAUTH_REQUIRED`: served, marked as degraded, until it ends."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(refusal(401, "refresh_token_reused"))
        await parts.manager.reload()
        assert await parts.refresher.join(Trigger.WISH) is RefreshResult.DEAD
        assert (await parts.snapshot()).degraded
        parts.clock.ahead += 3600.0
        assert isinstance(await parts.get(), AuthError)
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene, 600.0)


def test_a_verdict_waits_for_another_look_at_the_store(tmp_path: Any) -> None:
    """K24: the token was refused because another program had refreshed it; what that one wrote is adopted."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        gate = asyncio.Event()
        deed = refusal(401, "refresh_token_reused")
        deed.gate = gate
        issuer.deeds.append(deed)
        asked = asyncio.create_task(parts.snapshot())
        await issuer.arrived(1)
        write(parts.home, tokens(issuer.grant(), serial=9))
        gate.set()
        assert not (await asked).degraded
        assert len(issuer.refreshes) == 1
        assert parts.problems == []

    play(tmp_path, scene)


def test_an_adopted_token_that_is_expired_is_refreshed_once(tmp_path: Any) -> None:
    """K24: exactly one refresh of the new refresh token, whatever comes of it."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        gate = asyncio.Event()
        deed = refusal(401, "refresh_token_reused")
        deed.gate = gate
        issuer.deeds += [deed, refusal(401, "refresh_token_reused")]
        asked = asyncio.create_task(parts.get())
        await issuer.arrived(1)
        write(parts.home, tokens(issuer.grant(), EXPIRED, serial=9))
        gate.set()
        assert isinstance(await asked, AuthError)
        assert len(issuer.refreshes) == 2

    play(tmp_path, scene)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_a_transient_failure_backs_off_and_logs_nobody_out(tmp_path: Any, status: int) -> None:
    """K23, K26, scenario 35: the store stays, the token is still served, the next try waits for its time."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        before = read(parts.home)
        issuer.deeds.append(refusal(status, None, Retry_After="7"))
        assert await parts.refresher.join(Trigger.WISH) is RefreshResult.FAILED
        assert parts.state == "DEGRADED"
        assert (await parts.snapshot()).degraded
        assert 6.5 < parts.standing.retry_in(parts.clock.monotonic()) <= 7.0
        parts.refresher.consider()
        assert len(issuer.refreshes) == 1
        parts.clock.ahead += 7.0
        parts.refresher.consider()
        await parts.landed()
        assert parts.state == "FRESH"
        assert before["tokens"] != read(parts.home)["tokens"]

    play(tmp_path, scene, 600.0)


def test_an_unusable_token_waits_for_the_next_try_or_says_when_it_is(tmp_path: Any) -> None:
    """State `WAITING`: a question waits for the next try, or is told how long that takes."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds += [refusal(503), refusal(503, None, Retry_After="120")]
        impatient = await parts.get(deadline=0.2)
        assert isinstance(impatient, AuthError)
        assert impatient.code == "transient"
        assert impatient.retry_after_ms is not None
        assert 500 < impatient.retry_after_ms <= 1200
        assert parts.state == "WAITING"
        parts.clock.ahead += 1.2
        told = await parts.get()
        assert isinstance(told, AuthError)
        assert told.retry_after_ms is not None
        assert told.retry_after_ms > 100_000

    play(tmp_path, scene)


def test_a_waiting_question_is_answered_by_a_login_elsewhere(tmp_path: Any) -> None:
    """K14: who waits for a refresh does not wait longer than for any other change."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(refusal(503, None, Retry_After="4"))
        asked = asyncio.create_task(parts.snapshot())
        await issuer.arrived(1)
        await parts.landed()
        write(parts.home, {"OPENAI_API_KEY": "sk-elsewhere"})
        await parts.manager.reload()
        assert (await asked).token == "sk-elsewhere"

    play(tmp_path, scene)


def test_an_issuer_that_is_not_there_is_transient(tmp_path: Any) -> None:
    """K23: a request that was never sent leaves no doubt."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        nobody = Parts(parts.home)
        await nobody.manager.reload()
        assert await nobody.refresher.join(Trigger.NEED) is RefreshResult.FAILED
        assert 0 < nobody.standing.retry_in(nobody.clock.monotonic()) <= 1.2

    play(tmp_path, scene)


def test_a_redirect_is_not_followed(tmp_path: Any) -> None:
    """K6: nobody but the issuer is sent a refresh token, and nobody twice."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(Deed(307, headers={"Location": f"{issuer.url}/oauth/token"}, consumes=False))
        assert await parts.refresher.join(Trigger.NEED) is RefreshResult.FAILED
        assert (len(issuer.refreshes), issuer.reuses) == (1, [])
        assert parts.state == "WAITING"

    play(tmp_path, scene)


def test_logins_and_readers_do_not_wait_for_a_refresh(tmp_path: Any) -> None:
    """K5, K9: neither takes the lock that another instance may hold for a minute."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        async with locks.locked(parts.home, locks.REFRESH, 1.0):
            refresh = parts.refresher.join(Trigger.NEED)
            await parts.manager.log_in(lambda found: AuthRecord.of_key("sk-1", found))
            assert (await parts.snapshot()).token == "sk-1"
            assert await parts.manager.log_out()
            assert not refresh.done()
        assert await refresh is RefreshResult.GONE
        assert issuer.refreshes == []

    play(tmp_path, scene)


def test_an_answer_that_never_changes_is_believed(tmp_path: Any) -> None:
    """K23: other 4xx are transient twice; the third identical one is permanent."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds += [refusal(400, "odd") for _ in range(3)]
        results = []
        for _ in range(3):
            results.append(await parts.refresher.join(Trigger.NEED))
            parts.clock.ahead += 60.0
        assert results == [RefreshResult.FAILED, RefreshResult.FAILED, RefreshResult.DEAD]

    play(tmp_path, scene)


def test_a_reset_after_sending_is_tried_once_more(tmp_path: Any) -> None:
    """K25: nobody knows whether the token is spent; after 2 s one more try decides, and it says reused."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(Deed(resets=True))
        assert await parts.refresher.join(Trigger.NEED) is RefreshResult.FAILED
        assert 1.5 < parts.standing.retry_in(parts.clock.monotonic()) <= 2.0
        parts.clock.ahead += 2.0
        answer = await parts.get()
        assert isinstance(answer, AuthError)
        assert answer.user_text == TEXTS["exhausted"]
        assert len(issuer.refreshes) == 2

    play(tmp_path, scene)


def test_a_reset_that_spent_nothing_costs_nothing(tmp_path: Any) -> None:
    """K25: the second try succeeds."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(Deed(resets=True, consumes=False))
        await parts.refresher.join(Trigger.NEED)
        parts.clock.ahead += 2.0
        await parts.snapshot()
        assert issuer.reuses == []

    play(tmp_path, scene)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"expires_in": 1}', b'{"access_token": 5}'])
def test_a_success_that_cannot_be_read_is_in_doubt(tmp_path: Any, body: bytes) -> None:
    """K23, K25."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(Deed(body=body))
        assert await parts.refresher.join(Trigger.NEED) is RefreshResult.FAILED
        assert 1.5 < parts.standing.retry_in(parts.clock.monotonic()) <= 2.0

    play(tmp_path, scene)


def test_a_token_in_doubt_is_left_alone_while_the_other_is_good(tmp_path: Any) -> None:
    """K25: 30 s, and at most two refreshes of one token in ten minutes."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds += [Deed(resets=True, consumes=False), Deed(resets=True, consumes=False)]
        await parts.refresher.join(Trigger.WISH)
        assert 28 < parts.standing.retry_in(parts.clock.monotonic()) <= 30.0
        parts.clock.ahead += 30.0
        await parts.refresher.join(Trigger.WISH)
        assert 560 < parts.standing.retry_in(parts.clock.monotonic()) <= 570.0
        assert len(issuer.refreshes) == 2
        assert (await parts.snapshot()).degraded

    play(tmp_path, scene, 1000.0)


def test_a_broker_that_died_in_a_refresh_warns_its_successor(tmp_path: Any) -> None:
    """K25, K28: the journal in the lock file outlives the broker; another instance goes slowly too."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(Deed(gate=asyncio.Event()))
        refresh = parts.refresher.join(Trigger.NEED)
        await issuer.arrived(1)
        refresh.cancel()
        await asyncio.wait({refresh})
        successor = Parts(parts.home, issuer)
        await successor.manager.reload()
        assert await successor.refresher.join(Trigger.NEED) is RefreshResult.HELD
        assert 1.0 < successor.standing.retry_in(successor.clock.monotonic()) <= 2.0
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene)


def test_a_logout_wins_over_a_late_refresh(tmp_path: Any) -> None:
    """K10, scenario 45: credentials that a logout removed do not come back."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        gate = asyncio.Event()
        issuer.deeds.append(Deed(gate=gate))
        refresh = parts.refresher.join(Trigger.NEED)
        await issuer.arrived(1)
        assert await parts.manager.log_out()
        gate.set()
        assert await refresh is RefreshResult.ADOPTED
        assert not (tmp_path / "auth.json").exists()
        assert parts.state == "SIGNED_OUT"

    play(tmp_path, scene)


@pytest.mark.parametrize("foreign", [True, False])
def test_a_login_wins_over_a_late_refresh(tmp_path: Any, foreign: bool) -> None:
    """K6, K10, scenario 46: the store holds exactly what the login wrote."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        gate = asyncio.Event()
        issuer.deeds.append(Deed(gate=gate))
        refresh = parts.refresher.join(Trigger.NEED)
        await issuer.arrived(1)
        theirs = tokens(issuer.grant(), account="acc-B", user="user-B")
        if foreign:
            write(parts.home, theirs)
        else:
            await parts.manager.log_in(lambda _: AuthRecord.of(theirs))
        after = read(parts.home)
        gate.set()
        assert await refresh is RefreshResult.ADOPTED
        assert read(parts.home) == after
        assert (await parts.snapshot()).account_id == "acc-B"

    play(tmp_path, scene)


def test_an_answer_about_another_account_is_rejected(tmp_path: Any) -> None:
    """K6: nothing is written, and the reason says so."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        before = read(parts.home)
        issuer.deeds.append(Deed(merges={"id_token": id_token("acc-other")}))
        answer = await parts.get()
        assert isinstance(answer, AuthError)
        assert (answer.code, answer.reason) == ("reauth_required", "account_changed")
        assert read(parts.home) == before

    play(tmp_path, scene)


def test_the_account_follows_the_id_token(tmp_path: Any) -> None:
    """K6: the account id is derived anew where the id token has one."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        content = read(parts.home)
        content["tokens"]["account_id"] = None  # type: ignore[index]
        write(parts.home, content)
        assert (await parts.snapshot()).account_id == issuer.account

    play(tmp_path, scene)


@pytest.mark.parametrize("merges", [{"id_token": "junk"}, {"id_token": None}, {"refresh_token": None}])
def test_what_an_answer_lacks_does_not_cost_the_rest(tmp_path: Any, merges: dict[str, object]) -> None:
    """K6: absent members stay as they are, an unreadable id token does not lose the other two."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        before = stored_refresh_token(parts.home)
        issuer.deeds.append(Deed(merges=merges))
        await parts.snapshot()
        kept = stored_refresh_token(parts.home) == before
        assert kept == ("refresh_token" in merges)

    play(tmp_path, scene)


def test_a_new_refresh_token_without_an_access_token_is_not_lost(tmp_path: Any) -> None:
    """K6: it is stored, and the next try refreshes it."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(Deed(merges={"access_token": None}))
        assert await parts.refresher.join(Trigger.NEED) is RefreshResult.HELD
        parts.clock.ahead += 5.0
        await parts.snapshot()
        assert issuer.reuses == []

    play(tmp_path, scene)


def test_refreshes_are_spaced(tmp_path: Any) -> None:
    """K12: 30 s between two refreshes unless the token is unusable, six in an hour at most."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        assert await parts.refresher.join(Trigger.WISH) is RefreshResult.REFRESHED
        assert await parts.refresher.join(Trigger.WISH) is RefreshResult.HELD
        assert parts.state == "FRESH"
        for _ in range(5):
            parts.clock.ahead += 30.0
            assert await parts.refresher.join(Trigger.WISH) is RefreshResult.REFRESHED
        parts.clock.ahead += 30.0
        assert await parts.refresher.join(Trigger.WISH) is RefreshResult.HELD
        assert len(issuer.refreshes) == 6

    play(tmp_path, scene)


def test_a_clock_that_is_ahead_causes_no_loop(tmp_path: Any) -> None:
    """K13, scenario 56: expiry goes by the issuer's clock once that is known."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        parts.clock.wrong = 600.0
        await parts.snapshot()
        assert parts.state == "FRESH"
        for _ in range(5):
            await parts.snapshot()
            parts.refresher.consider()
        await parts.landed()
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene, lifetime=400.0)


def test_a_read_only_store_is_not_burned(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """K8: the token belongs to whoever can write; it is refreshed only when there is nothing left to lose."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        monkeypatch.setattr(parts.manager.store, "is_writable", lambda: False)
        assert await parts.refresher.join(Trigger.NEED) is RefreshResult.HELD
        assert issuer.refreshes == []
        assert [problem.reason for problem in parts.problems] == ["store_unwritable"]
        parts.clock.ahead += 200.0
        await parts.snapshot()
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene, 200.0)


def test_tokens_that_cannot_be_written_are_served_and_written_later(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K7, scenario 49: a full disk costs nothing once there is space again."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        spent = stored_refresh_token(parts.home)

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(file_store, "_replace", full)
            served = await parts.snapshot()
            assert (await parts.snapshot()).token == served.token
            assert stored_refresh_token(parts.home) == spent
            await parts.manager.persist(now=True)
            assert stored_refresh_token(parts.home) == spent
            await parts.manager.reload(always=True)
            assert (await parts.snapshot()).token == served.token
        await parts.manager.persist()
        assert stored_refresh_token(parts.home) == spent, "too early"
        parts.clock.ahead += 5.0
        await parts.manager.persist()
        assert stored_refresh_token(parts.home) in issuer.live
        assert [problem.reason for problem in parts.problems] == ["store_unwritable"]
        assert (await parts.snapshot()).token == served.token

    play(tmp_path, scene)


def test_a_full_disk_does_not_lose_the_second_token_either(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """K7: what was kept in memory is refreshed, and its successor belongs in the place of what is on the disk."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(file_store, "_replace", full)
            await parts.snapshot()
            parts.clock.ahead += 3600.0
            served = await parts.snapshot()
        await parts.manager.persist(now=True)
        assert stored_refresh_token(parts.home) in issuer.live
        assert (await parts.snapshot()).token == served.token
        assert (len(issuer.refreshes), issuer.reuses) == (2, [])

    play(tmp_path, scene)


def test_a_broker_that_leaves_waits_for_a_refresh_and_nothing_else(tmp_path: Any) -> None:
    """K11: what was sent is finished; waiting for another instance's lock is not."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        async with locks.locked(parts.home, locks.REFRESH, 1.0):
            refresh = parts.refresher.join(Trigger.NEED)
            await asyncio.wait({refresh}, timeout=0.05)
            await parts.refresher.settle()
            assert refresh.cancelled()
        gate = asyncio.Event()
        issuer.deeds.append(Deed(gate=gate))
        refresh = parts.refresher.join(Trigger.NEED)
        await issuer.arrived(1)
        leaving = asyncio.create_task(parts.refresher.settle())
        await asyncio.wait({leaving}, timeout=0.05)
        gate.set()
        await leaving
        assert refresh.result() is RefreshResult.REFRESHED

    play(tmp_path, scene)


def test_a_lock_that_is_held_too_long_is_transient(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """K5: nobody waits forever for another instance."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        monkeypatch.setattr("greenroom.broker.refresh.refresher.REFRESH_TIMEOUT", 0.1)
        async with locks.locked(parts.home, locks.REFRESH, 1.0):
            assert await parts.refresher.join(Trigger.NEED) is RefreshResult.FAILED
        assert issuer.refreshes == []

    play(tmp_path, scene)


def test_min_valid_is_honoured_once(tmp_path: Any) -> None:
    """A caller that needs more validity gets a refresh, but not a second one."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        answer = await parts.snapshot(min_valid=250)
        assert isinstance(answer, BearerSnapshot)
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene, 200.0, lifetime=200.0)
