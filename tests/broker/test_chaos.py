"""Brokers are killed at random while tokens are refreshed by an issuer that detects reuse.

The promises, in every run: the store can always be read; it is never older than the last pair that was written; no
token comes to the issuer twice; no token is lost; and all conversations go on. `GREENROOM_SOAK=1` makes it 200 runs.
"""

import asyncio
import os
import random
import tempfile

import pytest

from greenroom.broker.credential.record import AuthRecord
from greenroom.broker.storage.locks import REFRESH, REFRESH_TIMEOUT, locked
from greenroom.protocol.internal.broker.answers import BearerSnapshot
from greenroom.workers.model.credentials.channel import CredentialError, CredentialsChannel
from tests.broker.homes import EXPIRED, stored_refresh_token, tokens, write
from tests.broker.issuer import MockIssuer
from tests.broker.stages import Stage, stage

pytestmark = pytest.mark.processes

SOAKS = bool(os.environ.get("GREENROOM_SOAK"))
RUNS = 200 if SOAKS else 12
AT_ONCE = 4
LONGEST_ANSWER = 0.2
"""Seconds that the issuer takes once it has spent a token."""
LONGEST_PAUSE = 0.4
"""Seconds before a kill: a broker starts, starts a refresh and has its answer in less."""


class Run:
    """One run: two instances on one home, workers that ask and report refusals, and a killer."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.issuer = MockIssuer()
        self.kills = 0
        self.kills_amid = 0
        """Those that fell while the issuer had spent a token and not answered yet."""
        self.answering = 0
        self.all_ask = asyncio.Event()
        self.home = ""

    async def play(self) -> None:
        with tempfile.TemporaryDirectory(prefix="gr-") as home:
            async with self.issuer:
                self.home = home
                write(home, tokens(self.issuer.grant(), EXPIRED))
                self.issuer.on_spent = self._dawdle
                async with asyncio.timeout(45), stage(home, self.issuer) as first, stage(home, self.issuer) as second:
                    await self._scene([first, second])

    async def _dawdle(self, _: str) -> None:
        """Let the kill fall before, into or after the answer."""
        self.answering += 1
        await self.all_ask.wait()
        await asyncio.sleep(self.random.uniform(0.0, LONGEST_ANSWER))
        self.answering -= 1

    async def _scene(self, stages: list[Stage]) -> None:
        workers = [await made.channel(f"w{number}") for made in stages for number in range(3)]
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(self._ask(worker)) for worker in workers]
            watcher = tasks.create_task(self._watch())
            await self.issuer.arrived(1)
            self.all_ask.set()
            await asyncio.sleep(self.random.uniform(0.0, LONGEST_ANSWER))
            for made in stages:  # any of which may refresh
                self._kill(made)
            for _ in range(self.random.randrange(3)):
                await asyncio.sleep(self.random.uniform(0.0, LONGEST_PAUSE))
                self._kill(self.random.choice(stages))
            await asyncio.wait(asking)
            async with locked(self.home, REFRESH, REFRESH_TIMEOUT):  # nobody refreshes any more
                assert self.issuer.reuses == []
                assert self.issuer.live == {stored_refresh_token(self.home)}
            watcher.cancel()

    async def _ask(self, worker: CredentialsChannel) -> None:
        """Run a turn that is refused once."""
        told = await self._bearer(worker)
        if self.random.random() < 0.5:
            await worker.report_unauthorized(told, 401)
        await self._bearer(worker)

    async def _bearer(self, worker: CredentialsChannel) -> BearerSnapshot:
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
        self.kills_amid += self.answering > 0
        made.house.kill()
        made.restart()


@pytest.mark.timeout(900 if SOAKS else 60)
def test_kills_at_random(capsys: pytest.CaptureFixture[str]) -> None:
    """scenarios 43 and 44."""

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
        kills = sum(made.kills for made in runs)
        amid = sum(made.kills_amid for made in runs)
        requests = sum(len(made.issuer.refreshes) for made in runs)
        print(f"\n{RUNS} runs: {requests} refreshes, {kills} kills, {amid} of them before an answer")
