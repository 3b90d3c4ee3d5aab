"""Every question is answered from what is in force now, and a refused bearer leads somewhere."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from greenroom.broker.credential.record import AuthRecord
from greenroom.broker.refresh.refresher import Trigger
from greenroom.protocol.internal.broker.answers import AuthError, Status
from greenroom.protocol.internal.broker.questions import GetStatus
from tests.broker.homes import EXPIRED, FRESH, Parts, read, stored_refresh_token, tokens, write
from tests.broker.issuer import Deed, MockIssuer, refusal

Scene = Callable[[MockIssuer, Parts], Awaitable[None]]


def play(home: Any, scene: Scene, content: dict[str, object] | None = None, **parts: Any) -> None:
    """Run a scene on a home with such a store: a login by default, none where the content is empty."""

    async def run() -> None:
        async with MockIssuer() as issuer:
            if content is None:
                write(str(home), tokens(issuer.grant(), FRESH))
            elif content:
                write(str(home), content)
            made = Parts(str(home), issuer, **parts)
            await made.manager.reload()
            await scene(issuer, made)

    asyncio.run(run())


async def status(parts: Parts, **asked: Any) -> Status:
    return await parts.bearers.status(GetStatus(**asked))


def test_the_next_question_sees_every_change(tmp_path: Any) -> None:
    """K14, K17: login, other account, key, logout and malformed store, each without any event in between."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        first = await parts.snapshot()
        write(parts.home, tokens("refresh-2", serial=2))
        second = await parts.snapshot()
        assert second.token != first.token
        assert second.identity_key == first.identity_key
        write(parts.home, tokens("refresh-3", account="acc-B", user="b"))
        assert (await parts.snapshot()).identity_key != first.identity_key
        write(parts.home, {"OPENAI_API_KEY": "sk-1"})
        assert (await parts.snapshot()).token == "sk-1"
        os.unlink(tmp_path / "auth.json")
        answer = await parts.get()
        assert isinstance(answer, AuthError)
        assert answer.code == "signed_out"
        (tmp_path / "auth.json").write_text("{")
        answer = await parts.get()
        assert isinstance(answer, AuthError)
        assert answer.code == "store_malformed"
        assert [change.reason for change in parts.changes] == ["external"] * 5
        assert [change.identity_changed for change in parts.changes] == [False, True, True, True, False]
        assert [problem.reason for problem in parts.problems] == ["store_malformed"]

    play(tmp_path, scene)


def test_changes_that_hide_in_one_tick_are_seen(tmp_path: Any) -> None:
    """K14: same size, same inode, same modification time."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        path = tmp_path / "auth.json"
        for number in range(200):
            path.write_text(f'{{"OPENAI_API_KEY": "sk-{number:04}"}}')
            assert (await parts.snapshot()).token == f"sk-{number:04}"

    play(tmp_path, scene, {"OPENAI_API_KEY": "sk-first"})


def test_the_environment_key_comes_back_after_a_logout(tmp_path: Any) -> None:
    """A logout removes the store, which took precedence."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        assert await parts.manager.log_out()
        snapshot = await parts.snapshot()
        assert (snapshot.token, snapshot.source) == ("sk-env", "env")
        assert not await parts.manager.log_out()
        assert parts.changes[0].mode == "apikey"

    play(tmp_path, scene, environment={"OPENAI_API_KEY": "sk-env"})


def test_a_malformed_store_does_not_fall_back_to_the_environment(tmp_path: Any) -> None:
    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        assert isinstance(await parts.get(), AuthError)
        assert (await status(parts)).mode == "none"

    play(tmp_path, scene, {"OPENAI_API_KEY": 5}, environment={"OPENAI_API_KEY": "sk-env"})


def test_a_pinned_turn_is_told_of_another_account(tmp_path: Any) -> None:
    """K18: it goes on until its token is refused."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        begun = await parts.snapshot()
        write(parts.home, tokens("refresh-B", account="acc-B", user="b"))
        assert (await parts.snapshot(pin=begun.identity_key)).token == begun.token
        assert await parts.refused(begun) == "identity_changed"
        answer = await parts.get(pin=begun.identity_key)
        assert isinstance(answer, AuthError)
        assert answer.code == "identity_mismatch"
        assert "another account" in (answer.user_text or "")
        assert (await parts.snapshot()).account_id == "acc-B"
        assert issuer.refreshes == []

    play(tmp_path, scene)


def test_a_refused_token_is_refreshed_once(tmp_path: Any) -> None:
    """K20, K21, scenarios 36 and 50: adopt, then refresh, then it is over."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        first = await parts.snapshot()
        write(parts.home, tokens(issuer.grant(), serial=2))
        assert await parts.refused(first) == "reloaded"
        assert issuer.refreshes == []
        second = await parts.snapshot()
        assert await parts.refused(second) == "refreshed"
        assert await parts.refused(first) == "newer"
        assert await parts.refused(second) == "newer"
        third = await parts.snapshot()
        assert await parts.refused(third) == "exhausted"
        assert len(issuer.refreshes) == 1
        parts.clock.ahead += 61.0
        assert await parts.refused(third) == "refreshed"

    play(tmp_path, scene)


def test_many_refusals_at_once_cause_one_request(tmp_path: Any) -> None:
    """Scenario 50: fifty workers report the same 401."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        snapshot = await parts.snapshot()
        outcomes = await asyncio.gather(*(parts.refused(snapshot) for _ in range(50)))
        assert set(outcomes) <= {"refreshed", "newer"}
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene)


def test_a_refusal_of_another_broker_s_snapshot_is_newer(tmp_path: Any) -> None:
    """K21, K27: generations of a dead broker say nothing."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        snapshot = await parts.snapshot()
        assert await parts.refused(msgspec.structs.replace(snapshot, broker_epoch="old", generation=99)) == "newer"
        assert issuer.refreshes == []

    play(tmp_path, scene)


def test_an_adopted_token_that_is_expired_is_not_offered(tmp_path: Any) -> None:
    """K6: freshness is checked on adoption."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        snapshot = await parts.snapshot()
        write(parts.home, tokens(issuer.grant(), EXPIRED, serial=2))
        assert await parts.refused(snapshot) == "refreshed"
        assert len(issuer.refreshes) == 1

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("deed", "outcome"),
    [
        (refusal(401, "refresh_token_expired"), "permanent"),
        (refusal(503), "transient"),
        (Deed(resets=True), "transient"),
    ],
)
def test_what_comes_of_a_refusal_that_cannot_be_healed(tmp_path: Any, deed: Deed, outcome: str) -> None:
    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(deed)
        assert await parts.refused(await parts.snapshot()) == outcome

    play(tmp_path, scene)


def test_a_refusal_after_a_logout(tmp_path: Any) -> None:
    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        snapshot = await parts.snapshot()
        await parts.manager.log_out()
        assert await parts.refused(snapshot) == "signed_out"
        assert issuer.refreshes == []

    play(tmp_path, scene)


def test_a_key_and_a_403_are_not_refreshable(tmp_path: Any) -> None:
    """K22."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        assert await parts.refused(await parts.snapshot(), 403) == "not_refreshable"
        write(parts.home, {"OPENAI_API_KEY": "sk-1"})
        assert await parts.refused(await parts.snapshot()) == "not_refreshable"
        assert (await parts.snapshot()).token == "sk-1"
        assert issuer.refreshes == []

    play(tmp_path, scene)


def test_status_signed_out(tmp_path: Any) -> None:
    """Scenario 13."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        found = await status(parts, include_token=True, refresh=True)
        assert (found.mode, found.token, found.state) == ("none", None, "SIGNED_OUT")

    play(tmp_path, scene, {})


def test_status_with_a_key(tmp_path: Any) -> None:
    """Scenarios 14 and 15."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        assert (await status(parts, include_token=True, refresh=True)).token == "sk-test-key"
        found = await status(parts)
        assert (found.mode, found.token) == ("apikey", None)

    play(tmp_path, scene, {"OPENAI_API_KEY": "sk-test-key"})


@pytest.mark.parametrize("content", [{"tokens": None, "other": 1}, {"OPENAI_API_KEY": ""}])
def test_status_of_a_login_without_a_token(tmp_path: Any, content: dict[str, object]) -> None:
    """edge cases: the method is left out."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        assert (await status(parts, include_token=True)).mode == "none"

    play(tmp_path, scene, content)


def test_status_without_a_last_refresh(tmp_path: Any) -> None:
    """edge cases: left out, unless a refresh succeeded."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        content = tokens(issuer.grant())
        del content["last_refresh"]
        write(parts.home, content)
        assert (await status(parts)).mode == "none"
        assert (await status(parts, refresh=True)).mode == "chatgpt"

    play(tmp_path, scene)


def test_status_after_a_failed_refresh_has_the_old_token(tmp_path: Any) -> None:
    """A transient failure does not invalidate the token."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.deeds.append(refusal(500))
        before = await parts.snapshot()
        found = await status(parts, include_token=True, refresh=True)
        assert (found.mode, found.token, found.state) == ("chatgpt", before.token, "DEGRADED")
        assert (found.email, found.plan_type) == ("user-1@example.com", "pro")

    play(tmp_path, scene)


def test_status_waits_no_longer_than_asked(tmp_path: Any) -> None:
    """An issuer that hangs costs the deadline and nothing else."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        gate = asyncio.Event()
        issuer.deeds.append(Deed(gate=gate))
        asked = asyncio.create_task(status(parts, refresh=True, deadline_ms=300))
        await issuer.arrived(1)
        assert (await status(parts)).mode == "chatgpt"
        assert (await parts.snapshot()).token
        assert (await asked).mode == "chatgpt"
        gate.set()
        await parts.landed()

    play(tmp_path, scene)


def test_a_key_login_and_its_logout(tmp_path: Any) -> None:
    """Scenarios 8 and 16; what the store held of another account is gone."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        await parts.manager.log_in(lambda found: AuthRecord.of_key("sk-1", found))
        assert read(parts.home) == {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-1"}
        assert (await parts.snapshot()).token == "sk-1"
        assert await parts.manager.log_out()
        assert parts.state == "SIGNED_OUT"
        assert [(change.reason, change.mode) for change in parts.changes] == [("login", "apikey"), ("logout", "none")]

    play(tmp_path, scene)


def test_a_logout_that_fails_changes_nothing(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """K10: also not what a refresh under way brings."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        gate = asyncio.Event()
        issuer.deeds.append(Deed(gate=gate))
        refresh = parts.refresher.join(Trigger.WISH)
        await issuer.arrived(1)

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", refuse)
            with pytest.raises(PermissionError):
                await parts.manager.log_out()
        gate.set()
        await refresh
        assert stored_refresh_token(parts.home) in issuer.live
        assert parts.state == "FRESH"

    play(tmp_path, scene)
