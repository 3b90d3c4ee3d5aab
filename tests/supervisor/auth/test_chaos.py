"""Brokers are killed at random while tokens are redeemed by an issuer that detects reuse (K4 to K8, K24, K25, K28).

The promises, in every run: the store can always be read; it is never older than the last pair that was written; no
token comes to the issuer twice, but for one whose successor died with the broker that had asked for it, which nobody
can avoid; and in all other runs the conversations go on. `GREENROOM_SOAK=1` makes it 200 runs.
"""

import asyncio
import os
import random
import tempfile

import pytest

from protocol.credentials import Snapshot
from supervisor.auth.record import AuthRecord
from tests.supervisor.auth.homes import EXPIRED, stored_refresh_token, tokens, write
from tests.supervisor.auth.issuer import MockIssuer
from tests.supervisor.auth.stages import Stage, stage
from workers.credentials import CredentialError, CredentialsChannel

SOAKS = bool(os.environ.get("GREENROOM_SOAK"))
RUNS = 200 if SOAKS else 24
AT_ONCE = 4


class Run:
    """One run: two instances on one home, workers that ask and report refusals, and a killer."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.issuer = MockIssuer()
        self.kills = 0
        self.lost: set[str] = set()
        """Tokens that came twice because their successor had died with the broker that asked for it."""
        self.unexcused: list[str] = []
        self.home = ""

    async def play(self) -> None:
        with tempfile.TemporaryDirectory(prefix="gr-") as home:
            async with self.issuer:
                self.home = home
                write(home, tokens(self.issuer.grant(), EXPIRED))
                self.issuer.on_spent = self._dawdle
                self.issuer.on_reuse = self._judge
                async with asyncio.timeout(45), stage(home, self.issuer) as first, stage(home, self.issuer) as second:
                    await self._scene([first, second])

    async def _dawdle(self, _: str) -> None:
        """Let the kill fall before, into or after the answer."""
        await asyncio.sleep(self.random.choice([0.0, 0.0, 0.005, 0.03]))

    def _judge(self, token: str) -> None:
        """Excuse a token that comes twice only where there was a kill, and nobody ever wrote its successor."""
        if token not in self.lost and self.kills > len(self.lost) and stored_refresh_token(self.home) == token:
            self.lost.add(token)
        else:
            self.unexcused.append(token)

    async def _scene(self, stages: list[Stage]) -> None:
        workers = [await made.channel(f"w{number}") for made in stages for number in range(3)]
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(self._ask(worker)) for worker in workers]
            watcher = tasks.create_task(self._watch())
            for _ in range(self.random.randrange(1, 4)):
                await asyncio.sleep(self.random.uniform(0.0, 0.08))
                self._kill(self.random.choice(stages))
            await asyncio.wait(asking)
            watcher.cancel()
        assert self.unexcused == []
        stored = stored_refresh_token(self.home)
        orphans = self.issuer.live - {stored}
        assert len(orphans) <= self.kills, "a token was lost though its broker lived"
        if not self.lost:
            assert all(task.result() for task in asking), "signed out without need"
            assert stored in self.issuer.live or orphans

    async def _ask(self, worker: CredentialsChannel) -> bool:
        """Run a turn that is refused once; return whether it got its bearers."""
        try:
            told = await self._bearer(worker)
            if self.random.random() < 0.5:
                await worker.report_unauthorized(told, 401)
            await self._bearer(worker)
        except CredentialError as error:
            if error.error.code != "reauth_required":
                raise
            return False
        return True

    async def _bearer(self, worker: CredentialsChannel) -> Snapshot:
        for _ in range(20):
            try:
                return await worker.get_auth()
            except CredentialError as error:
                if not error.retryable:
                    raise
        raise AssertionError("no bearer in twenty tries")

    async def _watch(self) -> None:
        """Read the store all the time, as another program would."""
        newest = 0
        while True:
            with open(os.path.join(self.home, "auth.json"), "rb") as file:
                record = AuthRecord.read(file.read())
            assert record.tokens is not None
            number = int(record.tokens.refresh_token.split("-")[1])
            assert number >= newest, "an older pair came back"
            newest = number
            await asyncio.sleep(0.001)

    def _kill(self, made: Stage) -> None:
        self.kills += 1
        made.house.kill()
        made.restart()


@pytest.mark.timeout(900 if SOAKS else 60)
def test_kills_at_random(capsys: pytest.CaptureFixture[str]) -> None:
    """Spec/auth 8.7, scenarios 43 and 44."""

    async def run() -> list[Run]:
        slots = asyncio.Semaphore(AT_ONCE)
        runs = [Run(seed) for seed in range(RUNS)]

        async def one(made: Run) -> None:
            async with slots:
                await made.play()

        await asyncio.gather(*(one(made) for made in runs))
        return runs

    runs = asyncio.run(run())
    with capsys.disabled():
        lost = sum(1 for made in runs if made.lost)
        reuses = sum(len(made.issuer.reuses) for made in runs)
        requests = sum(len(made.issuer.redemptions) for made in runs)
        print(f"\n{RUNS} runs: {requests} redemptions, {lost} runs lost a token with its broker, {reuses} reuses seen")
