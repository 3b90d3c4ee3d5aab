"""Refreshing refreshes a token once, when it is due, and never asks twice in vain."""

import asyncio
import os
from typing import Any

import pytest

from greenroom.broker.refresh.refresher import RefreshResult, Trigger
from greenroom.protocol.internal.broker.answers import AuthError
from tests.broker.homes import EXPIRED, Parts, read, tokens, write
from tests.broker.issuer import Deed, MockIssuer
from tests.broker.refresh.refresher_scenes import play


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
