"""The refresh process: what it does without its broker, what becomes of its own death, and what it gives away."""

import asyncio
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from greenroom.broker.credential.record import AuthRecord
from greenroom.broker.refresh import subprocess as delegation
from greenroom.broker.refresh.process import SENDING
from greenroom.broker.refresh.refresher import RefreshResult, Trigger
from greenroom.broker.storage import file as file_store
from greenroom.broker.storage.locks import REFRESH, locked
from greenroom.broker.token_issuer.classify import TEXTS
from greenroom.protocol.internal.broker.answers import AuthError
from greenroom.runtime.log.logfile import log_path
from tests.broker.forked_refresh import fork_refresh
from tests.broker.homes import EXPIRED, Parts, read, stored_refresh_token, tokens, write
from tests.broker.issuer import Deed, MockIssuer, refusal
from tests.support import processes
from tests.support.loop import until
from tests.support.server import give_up_tracing

pytestmark = pytest.mark.processes

Scene = Callable[[MockIssuer, Parts], Awaitable[None]]


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the process of a refresh instead of executing it, where its start makes no difference."""
    monkeypatch.setattr(delegation, "spawn", fork_refresh)


def play(home: Any, lifeline: int, scene: Scene, *deeds: Deed) -> None:
    """Run a scene on a home whose access token has expired, with what the issuer does first."""

    async def run() -> None:
        async with MockIssuer() as issuer, asyncio.timeout(30):
            issuer.deeds.extend(deeds)
            write(str(home), tokens(issuer.grant(), EXPIRED))
            parts = Parts(str(home), issuer, lifeline=lifeline)
            await parts.manager.reload()
            await scene(issuer, parts)
            await until(lambda: not refresh_processes())

    asyncio.run(run())


def refresh_processes() -> list[psutil.Process]:
    found = processes.named(psutil.Process().children(), "gr-refresh")
    return [process for process in found if processes.alive(process.pid)]


async def begun(issuer: MockIssuer, parts: Parts) -> tuple["asyncio.Task[RefreshResult]", psutil.Process]:
    """Begin a refresh, and return once the issuer has been asked."""
    refresh = parts.refresher.join(Trigger.NEED)
    await issuer.arrived(1)
    (process,) = refresh_processes()
    return refresh, process


async def abandoned(issuer: MockIssuer, parts: Parts) -> psutil.Process:
    """Begin a refresh and let the broker's part of it break off."""
    refresh, process = await begun(issuer, parts)
    refresh.cancel()
    await asyncio.wait({refresh})
    return process


def can_look_into(pid: int) -> bool:
    """Return whether a process of the same user, without a right to look into others, may read the environment."""
    program = [sys.executable, "-I", "-c", f"open('/proc/{pid}/environ', 'rb').read()"]
    looked = subprocess.run(program, check=False, stderr=subprocess.DEVNULL, preexec_fn=give_up_tracing)
    return looked.returncode == 0


async def nobody_refreshes(home: str) -> None:
    async with locked(home, REFRESH, 10.0):
        return


def test_it_brings_what_the_broker_needs_to_know(tmp_path: Any, lifeline: int) -> None:
    """K6, K13: the tokens, what stood in the journal, and the time."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        issuer.date_offset = -600.0
        assert await parts.refresher.join(Trigger.NEED) is RefreshResult.REFRESHED
        assert (await parts.snapshot()).token == read(parts.home)["tokens"]["access_token"]  # type: ignore[index]
        assert parts.changes[-1].reason in {"refresh", "external"}
        assert parts.clock.offset == pytest.approx(600.0, abs=5.0)
        assert not parts.refresher._journal.entry.attempts

    play(tmp_path, lifeline, scene)


@pytest.mark.usefixtures("forked")
def test_a_refusal_is_told_and_remembered(tmp_path: Any, lifeline: int) -> None:
    """K23: also for the next holder of the lock."""

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        answer = await parts.get()
        assert isinstance(answer, AuthError)
        assert answer.user_text == TEXTS["exhausted"]
        assert isinstance(await Parts(parts.home, issuer, lifeline=lifeline).get(), AuthError)
        assert len(issuer.refreshes) == 1

    play(tmp_path, lifeline, scene, refusal(401, "refresh_token_reused"))


@pytest.mark.usefixtures("forked")
def test_one_that_hangs_is_killed_and_leaves_a_doubt(
    tmp_path: Any, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delegation, "HANG", 2.0)  # the start of the process counts too
    gate = asyncio.Event()

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        refresh, process = await begun(issuer, parts)
        process.suspend()
        assert await refresh is RefreshResult.FAILED
        assert parts.refresher._journal.entry.attempts
        assert processes.ends(process.pid, 10.0)
        gate.set()

    play(tmp_path, lifeline, scene, Deed(gate=gate))


@pytest.mark.usefixtures("forked")
def test_a_verdict_outlives_the_broker(tmp_path: Any, lifeline: int) -> None:
    """K28: a token that the issuer has declared invalid is not sent again, although the result could not be
    reported."""
    deed = refusal(401, "refresh_token_reused")
    deed.gate = asyncio.Event()

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        await abandoned(issuer, parts)
        assert deed.gate is not None
        deed.gate.set()
        successor = Parts(parts.home, issuer)
        answer = await successor.get(deadline=20.0)
        assert isinstance(answer, AuthError)
        assert answer.user_text == TEXTS["exhausted"]
        assert len(issuer.refreshes) == 1

    play(tmp_path, lifeline, scene, deed)


@pytest.mark.usefixtures("forked")
def test_its_death_leaves_a_doubt(tmp_path: Any, lifeline: int) -> None:
    """K25: it is unknown whether the token is spent; after 2 s one more attempt decides, and the answer is "reused"."""
    gate = asyncio.Event()

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        refresh, process = await begun(issuer, parts)
        process.kill()
        assert await refresh is RefreshResult.FAILED
        assert parts.refresher._journal.entry.attempts
        parts.clock.ahead += 2.0
        answer = await parts.get()
        assert isinstance(answer, AuthError)
        assert answer.user_text == TEXTS["exhausted"]
        assert len(issuer.refreshes) == 2
        gate.set()

    play(tmp_path, lifeline, scene, Deed(gate=gate))


@pytest.mark.parametrize("hindrance", ["it cannot be started", "it dies at its start"])
def test_what_was_surely_not_sent_leaves_no_doubt(
    tmp_path: Any, lifeline: int, hindrance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K23: tried again as after any failure that passes."""

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        with monkeypatch.context() as patch:
            if hindrance == "it cannot be started":
                patch.setattr(delegation, "spawn", full)
            else:
                patch.setattr(delegation, "STATEMENT", "raise SystemExit(1)")
            assert await parts.refresher.join(Trigger.NEED) is RefreshResult.FAILED
        assert 0 < parts.in_force.retry_in(parts.clock.monotonic()) <= 1.2
        assert not parts.refresher._journal.entry.attempts
        parts.clock.ahead += 1.2
        await parts.snapshot()
        assert len(issuer.refreshes) == 1

    play(tmp_path, lifeline, scene)


@pytest.mark.usefixtures("forked")
def test_a_report_that_was_lost_is_no_loss(tmp_path: Any, lifeline: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """K25: what it had stored before it died is adopted at once."""

    async def mute(*given: Any) -> bytes:
        await converse(*given)
        return SENDING

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        assert await parts.refresher.join(Trigger.NEED) is RefreshResult.ADOPTED
        assert parts.state == "FRESH"
        assert len(issuer.refreshes) == 1

    converse = delegation._converse
    monkeypatch.setattr(delegation, "_converse", mute)
    play(tmp_path, lifeline, scene)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("event", ["logout", "login"])
def test_what_comes_in_between_wins_although_the_broker_is_dead(tmp_path: Any, lifeline: int, event: str) -> None:
    """K10, scenarios 45 and 46: nothing comes back, and nothing is written over."""
    gate = asyncio.Event()

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        await abandoned(issuer, parts)
        successor = Parts(parts.home, issuer)
        if event == "logout":
            assert await successor.manager.log_out()
        else:
            theirs = tokens(issuer.grant(), account="acc-B", user="user-B")
            await successor.manager.log_in(lambda _: AuthRecord.of(theirs))
        after = read(parts.home) if event == "login" else None
        gate.set()
        await nobody_refreshes(parts.home)
        assert (tmp_path / "auth.json").exists() == (event == "login")
        assert after is None or read(parts.home) == after

    play(tmp_path, lifeline, scene, Deed(gate=gate))


def test_tokens_that_it_cannot_write_are_the_brokers(
    tmp_path: Any, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K7: they are served, and written later."""
    gate = asyncio.Event()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        spent = stored_refresh_token(parts.home)
        refresh, process = await begun(issuer, parts)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
        gate.set()
        with monkeypatch.context() as patch:
            patch.setattr(file_store, "_replace", full)
            assert await refresh is RefreshResult.REFRESHED
        assert (await parts.snapshot()).token
        assert stored_refresh_token(parts.home) == spent
        await parts.manager.persist(now=True)
        assert issuer.live == {stored_refresh_token(parts.home)}

    play(tmp_path, lifeline, scene, Deed(gate=gate))


def test_it_gives_nothing_away(tmp_path: Any, lifeline: int, capfd: pytest.CaptureFixture[str]) -> None:
    """P5: nothing that other processes of its user can see contains a secret, and none of them can inspect it."""
    gate = asyncio.Event()

    async def scene(issuer: MockIssuer, parts: Parts) -> None:
        spent = stored_refresh_token(parts.home)
        refresh, process = await begun(issuer, parts)
        shown = " ".join(process.cmdline()) + repr(process.environ())
        assert not can_look_into(process.pid)
        assert os.getsid(process.pid) == os.getsid(0)
        assert os.getpgid(process.pid) == process.pid
        gate.set()
        await refresh
        logged = Path(log_path(parts.home)).read_text()
        out, err = capfd.readouterr()
        held = read(parts.home)["tokens"]
        assert isinstance(held, dict)
        for secret in (spent, *held.values()):
            assert secret not in shown + logged + out + err
        assert "refreshed, stored" in logged

    play(tmp_path, lifeline, scene, Deed(gate=gate))
