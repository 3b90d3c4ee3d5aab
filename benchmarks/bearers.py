"""How long a worker waits for an access token while a hundred workers ask.

One broker; four processes with twenty-five workers each, which ask every tenth of a second at different times: a
thousand requests a second, far more than conversations cause.
"""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

import psutil
import zmq

from greenroom.protocol.internal.process import WorkerSpec
from greenroom.workers.model.credentials.channel import CredentialsChannel
from tests.broker.brokers import FORKSERVER, house
from tests.broker.homes import FRESH, tokens, write

WORKERS: Final = 100
PROCESSES: Final = 4
ROUNDS: Final = 30
INTERVAL: Final = 0.1
"""Seconds between two requests of one worker."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The measured requests."""

    seconds: list[float]
    """The duration of each request."""
    cpu_per_question: float
    """CPU seconds of the broker."""


def measure(workers: int = WORKERS, rounds: int = ROUNDS) -> Measured:
    """Measure once."""
    with tempfile.TemporaryDirectory() as home, house(home) as made:
        write(home, tokens("refresh-1", FRESH))
        specs = [made.worker(f"w{number}") for number in range(workers)]
        made.start()
        assert made.process is not None
        ends = [FORKSERVER.Pipe() for _ in range(PROCESSES)]
        askers = [
            FORKSERVER.Process(target=_ask, args=(specs[number::PROCESSES], rounds, theirs))
            for number, (_, theirs) in enumerate(ends)
        ]
        for asker in askers:
            asker.start()
        for ours, _ in ends:
            ours.recv()
        broker = psutil.Process(made.process.pid)
        before = sum(broker.cpu_times()[:2])
        for ours, _ in ends:
            ours.send("go")
        seconds = [took for ours, _ in ends for took in ours.recv()]
        used = sum(broker.cpu_times()[:2]) - before
        for asker in askers:
            asker.join()
    return Measured(seconds, used / len(seconds))


def _ask(specs: list[WorkerSpec], rounds: int, results: Connection) -> None:
    asyncio.run(_ask_all(specs, rounds, results))


async def _ask_all(specs: list[WorkerSpec], rounds: int, results: Connection) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    channels = [CredentialsChannel(context, spec) for spec in specs]
    await asyncio.gather(*(channel.start() for channel in channels))
    results.send("ready")
    await asyncio.to_thread(results.recv)
    begun = asyncio.get_running_loop().time()
    times = await asyncio.gather(
        *(
            _rounds(channel, rounds, begun + INTERVAL * number / len(channels))
            for number, channel in enumerate(channels)
        )
    )
    results.send([seconds for of_one in times for seconds in of_one])
    for channel in channels:
        channel.close()
    context.destroy(linger=0)


async def _rounds(channel: CredentialsChannel, rounds: int, begin: float) -> list[float]:
    times = []
    for number in range(rounds):
        await asyncio.sleep(max(0.0, begin + number * INTERVAL - asyncio.get_running_loop().time()))
        asked = time.perf_counter()
        await channel.get_auth()
        times.append(time.perf_counter() - asked)
    return times
