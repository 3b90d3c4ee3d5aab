"""How long a worker waits for a bearer while a hundred workers ask: `python -m tests.supervisor.auth.bench_bearer`.

The workers live in processes of their own, a few dozen to each, so that what is measured is the broker and the way to
it. Each asks ten times a second, which is far more than a hundred conversations do.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass

import psutil
import zmq

from protocol.birth import WorkerBirth
from tests.supervisor.auth.brokers import FORKSERVER, house
from tests.supervisor.auth.homes import FRESH, tokens, write
from workers.credentials import CredentialsChannel

PROCESSES = 4
ROUNDS = 30
INTERVAL = 0.1


@dataclass(frozen=True)
class Measured:
    """Seconds that a bearer took, and what the broker used for it."""

    questions: int
    p50: float
    p99: float
    cpu_per_question: float
    broker_private_bytes: int


def measure(workers: int = 100) -> Measured:
    """Measure once."""
    with tempfile.TemporaryDirectory() as home, house(home) as made:
        write(home, tokens("refresh-1", FRESH))
        births = [made.worker(f"w{number}") for number in range(workers)]
        made.start()
        assert made.process is not None
        pool = [births[number::PROCESSES] for number in range(PROCESSES)]
        ends = [FORKSERVER.Pipe() for _ in pool]
        askers = [
            FORKSERVER.Process(target=_ask, args=(mine, theirs)) for mine, (_, theirs) in zip(pool, ends, strict=True)
        ]
        for asker in askers:
            asker.start()
        for ours, _ in ends:
            ours.recv()
        broker = psutil.Process(made.process.pid)
        before = sum(broker.cpu_times()[:2])
        for ours, _ in ends:
            ours.send("go")
        times = sorted(seconds for ours, _ in ends for seconds in ours.recv())
        used = sum(broker.cpu_times()[:2]) - before
        private = broker.memory_full_info().uss
        for asker in askers:
            asker.join()
    return Measured(
        questions=len(times),
        p50=statistics.median(times),
        p99=times[int(len(times) * 0.99)],
        cpu_per_question=used / len(times),
        broker_private_bytes=private,
    )


def _ask(births: list[WorkerBirth], told: object) -> None:
    asyncio.run(_ask_all(births, told))


async def _ask_all(births: list[WorkerBirth], told: object) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    channels = [CredentialsChannel(context, birth) for birth in births]
    await asyncio.gather(*(channel.start() for channel in channels))
    told.send("ready")  # type: ignore[attr-defined]
    await asyncio.to_thread(told.recv)  # type: ignore[attr-defined]
    begun = asyncio.get_running_loop().time()
    times = await asyncio.gather(
        *(_rounds(channel, begun + INTERVAL * number / len(channels)) for number, channel in enumerate(channels))
    )
    told.send([seconds for of_one in times for seconds in of_one])  # type: ignore[attr-defined]
    for channel in channels:
        channel.close()
    context.destroy(linger=0)


async def _rounds(channel: CredentialsChannel, begin: float) -> list[float]:
    times = []
    for number in range(ROUNDS):
        await asyncio.sleep(max(0.0, begin + number * INTERVAL - asyncio.get_running_loop().time()))
        asked = time.perf_counter()
        await channel.get_auth()
        times.append(time.perf_counter() - asked)
    return times


if __name__ == "__main__":
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
    print(
        f"{found.questions} questions: p50 {found.p50 * 1e3:.2f} ms, p99 {found.p99 * 1e3:.2f} ms, "
        f"{found.cpu_per_question * 1e6:.0f} µs of the broker each, {found.broker_private_bytes / 1e6:.1f} MB private"
    )
