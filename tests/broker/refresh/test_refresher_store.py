"""A late refresh overwrites nothing, and a new token is never lost, whatever becomes of the store."""

import asyncio
import errno
import os
from typing import Any

import pytest

from greenroom.broker.credential.record import AuthRecord
from greenroom.broker.refresh.refresher import RefreshResult, Trigger
from greenroom.broker.storage import file as file_store
from greenroom.broker.storage import locks
from greenroom.protocol.internal.broker.answers import AuthError, BearerSnapshot
from tests.broker.homes import Parts, read, stored_refresh_token, tokens, write
from tests.broker.issuer import Deed, MockIssuer, id_token
from tests.broker.refresh.refresher_scenes import play


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
        assert 1.0 < successor.in_force.retry_in(successor.clock.monotonic()) <= 2.0
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
    """K8: the token belongs to a process that can write; it is refreshed only when there is nothing left to lose."""

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


def test_a_lock_that_is_held_too_long_is_transient(tmp_path: Any) -> None:
    """K5: nobody waits forever for another instance."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        hasty = Parts(parts.home, issuer, lock_timeout_s=0.1)
        await hasty.manager.reload()
        async with locks.locked(parts.home, locks.REFRESH, 1.0):
            assert await hasty.refresher.join(Trigger.NEED) is RefreshResult.FAILED
        assert issuer.refreshes == []

    play(tmp_path, scene)


def test_min_valid_is_honoured_once(tmp_path: Any) -> None:
    """A caller that needs more validity gets a refresh, but not a second one."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        answer = await parts.snapshot(min_valid=250)
        assert isinstance(answer, BearerSnapshot)
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene, 200.0, lifetime=200.0)
