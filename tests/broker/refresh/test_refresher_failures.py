"""What a refusal, a broken connection and an answer that cannot be read mean for a token."""

import asyncio
from typing import Any

import pytest

from greenroom.broker.credential.record import AuthRecord
from greenroom.broker.refresh.refresher import RefreshResult, Trigger
from greenroom.broker.storage import locks
from greenroom.broker.token_issuer.classify import TEXTS
from greenroom.protocol.internal.broker.answers import AuthError
from tests.broker.homes import EXPIRED, Parts, read, tokens, write
from tests.broker.issuer import Deed, MockIssuer, refusal
from tests.broker.refresh.refresher_scenes import play


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
        assert 6.5 < parts.in_force.retry_in(parts.clock.monotonic()) <= 7.0
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
        assert 0 < nobody.in_force.retry_in(nobody.clock.monotonic()) <= 1.2

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
        assert 1.5 < parts.in_force.retry_in(parts.clock.monotonic()) <= 2.0
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
        assert 1.5 < parts.in_force.retry_in(parts.clock.monotonic()) <= 2.0

    play(tmp_path, scene)


def test_a_token_in_doubt_is_left_alone_while_the_other_is_good(tmp_path: Any) -> None:
    """K25: 30 s, and at most two refreshes of one token in ten minutes."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds += [Deed(resets=True, consumes=False), Deed(resets=True, consumes=False)]
        await parts.refresher.join(Trigger.WISH)
        assert 28 < parts.in_force.retry_in(parts.clock.monotonic()) <= 30.0
        parts.clock.ahead += 30.0
        await parts.refresher.join(Trigger.WISH)
        assert 560 < parts.in_force.retry_in(parts.clock.monotonic()) <= 570.0
        assert len(issuer.refreshes) == 2
        assert (await parts.snapshot()).degraded

    play(tmp_path, scene, 1000.0)
