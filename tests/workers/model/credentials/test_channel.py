"""A worker's line to the broker costs little, loses nothing, and outlives the broker (docs/security.md, K27)."""

import asyncio
import itertools
import os
import time
from contextlib import suppress
from typing import Any

import pytest

from greenroom.protocol.internal.broker.answers import BearerSnapshot
from greenroom.workers.model.credentials.channel import CredentialError, CredentialsChannel
from tests.broker.homes import EXPIRED, write
from tests.broker.issuer import Deed, refusal
from tests.broker.stages import Stage, play
from tests.support.loop import until

pytestmark = pytest.mark.processes


def test_readiness_is_a_message(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        spec = stage.house.worker("w")
        await stage.link.attach({spec.id: spec.keys.public})
        channel = CredentialsChannel(stage.context, spec)
        stage.channels.append(channel)
        welcome = await channel.start()
        assert welcome.state == "FRESH"
        snapshot = await channel.get_auth()
        assert (snapshot.broker_epoch, snapshot.generation) == (welcome.broker_epoch, welcome.generation)
        assert await channel.start() is welcome, "it is greeted once: that is a round trip"

    play(tmp_path, scene)


def test_a_worker_that_comes_too_early_is_let_in_later(tmp_path: Any) -> None:
    """K1: ZeroMQ gives up an address that refuses; the channel does not, and then hears broadcasts too."""

    async def scene(stage: Stage) -> None:
        await stage.link.status()
        spec = stage.house.worker("w", listens=True)
        channel = CredentialsChannel(stage.context, spec, stage.changes.put_nowait)
        stage.channels.append(channel)
        starting = asyncio.create_task(channel.start())
        await asyncio.wait({starting}, timeout=0.1)
        assert not starting.done()
        await stage.link.attach({spec.id: spec.keys.public})
        await starting
        write(stage.home, {"OPENAI_API_KEY": "sk-1"})
        assert (await channel.get_auth()).token == "sk-1"
        assert (await stage.changes.get()).mode == "apikey"

    play(tmp_path, scene)


def test_many_questions_at_once(tmp_path: Any) -> None:
    """Answers come in another order and find their questions."""

    async def scene(stage: Stage) -> None:
        channel = await stage.channel("w")
        gate = asyncio.Event()
        stage.issuer.deeds.append(Deed(gate=gate))
        told = await channel.get_auth()
        slow = asyncio.create_task(channel.report_unauthorized(told, 401))
        await stage.issuer.arrived(1)
        values = await asyncio.gather(*(channel.get_environment([f"V{n % 10}"]) for n in range(500)))
        assert values == [{f"V{n % 10}": str(n % 10)} for n in range(500)]
        gate.set()
        assert (await slow).outcome == "refreshed"

    play(tmp_path, scene, secrets={f"V{n}": str(n) for n in range(10)})


@pytest.mark.parametrize(
    ("deed", "code", "retryable", "text"),
    [
        (refusal(401, "refresh_token_expired"), "reauth_required", False, "has expired"),
        (refusal(503, None, Retry_After="60"), "transient", True, "transient"),
    ],
)
def test_errors_say_whether_to_try_again(tmp_path: Any, deed: Deed, code: str, retryable: bool, text: str) -> None:
    """K19."""

    async def scene(stage: Stage) -> None:
        channel = await stage.channel("w")
        with pytest.raises(CredentialError, match=text) as caught:
            await channel.get_auth()
        assert (caught.value.error.code, caught.value.retryable) == (code, retryable)
        assert caught.value.kind == "unauthorized"
        if retryable:
            assert caught.value.error.retry_after_ms is not None

    play(tmp_path, scene, EXPIRED, [deed])


def test_the_time_that_the_model_server_tells_counts_for_everybody(tmp_path: Any) -> None:
    """K13: a token that seems to be over is served again, without a request."""

    async def scene(stage: Stage) -> None:
        first, second = await stage.workers(2)
        with pytest.raises(CredentialError, match="transient"):
            await first.get_auth()
        first.report_clock(7200.0)
        await first.get_environment([])
        assert (await second.get_auth()).token
        assert len(stage.issuer.refreshes) == 1

    play(tmp_path, scene, EXPIRED, [refusal(503, None, Retry_After="60")])


def test_the_next_broker_is_told_the_time_as_well(tmp_path: Any) -> None:
    """K13."""

    async def scene(stage: Stage) -> None:
        channel = await stage.channel("w")
        expires_at = (await channel.get_auth()).expires_at
        assert expires_at is not None
        channel.report_clock(7200.0)
        await until(lambda: expiry(stage) == expires_at + 7200)
        former = stage.link.standing
        stage.house.kill()
        stage.restart()
        await until(lambda: stage.link.standing is not former and expiry(stage) == expires_at + 7200)

    play(tmp_path, scene)


def test_a_broker_that_dies_under_running_turns_fails_none(tmp_path: Any) -> None:
    """K27, scenario 51: twenty turns that ask all the time, five deaths of the broker."""

    async def scene(stage: Stage) -> None:
        workers = await stage.workers(20)
        answers: asyncio.Queue[BearerSnapshot] = asyncio.Queue()
        seen: list[BearerSnapshot] = []
        over = asyncio.Event()

        async def run(worker: CredentialsChannel) -> None:
            account = None
            while not over.is_set():
                told = await worker.get_auth(pin_identity=account)
                account = told.identity_key
                answers.put_nowait(told)
                assert await worker.get_environment(["A"]) == {"A": "1"}

        async with asyncio.TaskGroup() as turns:
            for worker in workers:
                turns.create_task(run(worker))
            for death in range(6):
                seen += [await answers.get() for _ in range(100)]
                if death < 5:
                    stage.house.kill()
                    stage.restart()
            over.set()
        seen += [answers.get_nowait() for _ in range(answers.qsize())]
        assert len({answer.token for answer in seen}) == 1
        assert len({answer.broker_epoch for answer in seen}) >= 3

    play(tmp_path, scene, secrets={"A": "1"})


def test_a_question_that_the_dead_broker_had_taken_is_asked_again(tmp_path: Any) -> None:
    """K27: under the same id, as soon as the next one is there; the refresh that it led to is not."""
    gate = asyncio.Event()

    async def scene(stage: Stage) -> None:
        channel = await stage.channel("w")
        asked = asyncio.create_task(channel.get_auth())
        await stage.issuer.arrived(1)
        stage.house.kill()
        stage.restart()
        gate.set()
        assert (await asked).token
        assert stage.issuer.reuses == []
        assert len(stage.issuer.refreshes) == 1

    play(tmp_path, scene, EXPIRED, [Deed(gate=gate)])


def test_broadcasts_go_on_after_a_death(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        channel = await stage.channel("w", listens=True)
        stage.house.kill()
        stage.restart()
        await channel.get_auth()
        await change_until_heard(stage, channel)

    play(tmp_path, scene)


def test_a_broker_that_stays_away_is_an_error_in_time(tmp_path: Any) -> None:
    """K27: questions under way and new ones fail, retryable, after the time that a broker has to come back."""
    absence_s = 1.0
    gate = asyncio.Event()

    async def scene(stage: Stage) -> None:
        channel = await stage.channel("w", absence_s=absence_s)
        under_way = asyncio.create_task(channel.get_auth())
        await stage.issuer.arrived(1)
        stage.house.kill()
        for asked in (under_way, asyncio.create_task(channel.get_auth())):
            with pytest.raises(CredentialError, match="auth broker unavailable") as caught:
                await asked
            assert caught.value.retryable
        begun = time.monotonic()
        with pytest.raises(CredentialError, match="auth broker unavailable"):
            await channel.get_auth()
        assert time.monotonic() - begun < absence_s / 2, "it has had its time"
        stage.restart()
        gate.set()
        await until(lambda: not channel.is_lost)
        assert (await channel.get_auth()).token

    play(tmp_path, scene, EXPIRED, [Deed(gate=gate)])


def test_a_broker_that_never_comes_is_waited_for_once(tmp_path: Any) -> None:
    """K27: one that was given up before a worker was born must not cost every attempt its full time."""
    timeout_s = 1.0

    async def scene(stage: Stage) -> None:
        stage.house.kill()
        channel = CredentialsChannel(stage.context, stage.house.worker("w"), timeout_s=timeout_s)
        stage.channels.append(channel)
        with pytest.raises(CredentialError, match="auth broker unavailable"):
            await channel.start()
        begun = time.monotonic()
        with pytest.raises(CredentialError, match="auth broker unavailable"):
            await channel.start()
        assert time.monotonic() - begun < timeout_s / 2
        stage.restart()
        await until(lambda: not channel._requests.is_given_up)
        assert (await channel.get_auth()).token

    play(tmp_path, scene)


def test_closing_ends_what_is_open(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        channel = await stage.channel("w")
        asked = asyncio.create_task(channel.get_auth())
        await asyncio.gather(stage.issuer.arrived(1), asyncio.sleep(0))
        channel.close()
        channel.close()
        with pytest.raises(asyncio.CancelledError):
            await asked
        stage.house.kill()

    play(tmp_path, scene, EXPIRED, [Deed(gate=asyncio.Event(), consumes=False)])


def test_a_bearer_costs_little(tmp_path: Any) -> None:
    """One worker asking one question after another; the bound leaves room for a busy machine."""

    async def scene(stage: Stage) -> None:
        channel = await stage.channel("w")
        times = sorted([await timed(channel) for _ in range(300)])
        assert times[150] < (0.005 if os.environ.get("CI") else 0.003)

    play(tmp_path, scene)


def expiry(stage: Stage) -> int | None:
    """Return when the token expires by this machine's clock, as far as the supervisor knows."""
    return None if stage.link.standing is None else stage.link.standing.expires_at


async def change_until_heard(stage: Stage, channel: CredentialsChannel) -> None:
    """Change the key again and again: a subscription may come to the broker after the first questions."""
    for number in itertools.count():
        write(stage.home, {"OPENAI_API_KEY": f"sk-{number}"})
        assert (await channel.get_auth()).token == f"sk-{number}"
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                assert (await stage.changes.get()).mode == "apikey"
                return


async def timed(channel: CredentialsChannel) -> float:
    """Return how many seconds a bearer takes."""
    begun = time.perf_counter()
    await channel.get_auth()
    return time.perf_counter() - begun
