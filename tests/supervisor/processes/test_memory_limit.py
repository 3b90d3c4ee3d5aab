"""Workers that use too much memory are found by periodic checks, which stop while there is no worker."""

import asyncio
import os
from collections.abc import Callable

from greenroom.config.defaults import Limits
from greenroom.protocol.ids import WorkerId
from greenroom.supervisor.processes.memory_limit import BATCH, MemoryWatchdog, excess, resident_memory
from tests.support.virtual_time import in_virtual_time

OWN_MEMORY = resident_memory(os.getpid())
HEAVY, STARTING = WorkerId("heavy"), WorkerId("starting")
NOBODY = 2**22 + 1


def rounds(
    workers: dict[WorkerId, int | None], on_excess: Callable[[WorkerId, str], None], limit: int
) -> MemoryWatchdog:
    return MemoryWatchdog(workers, lambda worker_id: workers[worker_id], Limits(worker_memory=limit), on_excess)


def test_memory_is_judged_by_the_limit() -> None:
    assert excess(os.getpid(), Limits(worker_memory=1 << 40)) is None
    told = excess(os.getpid(), Limits(worker_memory=1 << 20))
    assert told is not None
    assert told.startswith("over its memory limit: ")
    assert told.endswith(" MiB of 1 MiB")


def test_memory_of_a_process_is_seen_from_outside() -> None:
    assert OWN_MEMORY > 1 << 20
    assert resident_memory(NOBODY) == 0


@in_virtual_time
async def test_only_workers_with_too_much_memory_are_reported_and_on_every_round() -> None:
    told: asyncio.Queue[WorkerId] = asyncio.Queue()
    light: dict[WorkerId, int | None] = {WorkerId(f"light {number}"): NOBODY for number in range(2 * BATCH)}
    workers = {**light, HEAVY: os.getpid(), STARTING: None}
    going = rounds(workers, lambda worker_id, _: told.put_nowait(worker_id), OWN_MEMORY // 2)
    going.begin()
    assert [await told.get() for _ in range(2)] == [HEAVY, HEAVY]
    going.close()


@in_virtual_time
async def test_rounds_end_with_the_last_worker_and_begin_again_with_the_next() -> None:
    told: asyncio.Queue[WorkerId] = asyncio.Queue()
    workers: dict[WorkerId, int | None] = {HEAVY: os.getpid()}

    def end(worker_id: WorkerId, _: str) -> None:
        told.put_nowait(worker_id)
        del workers[worker_id]

    going = rounds(workers, end, OWN_MEMORY // 2)
    for _ in range(2):
        workers[HEAVY] = os.getpid()
        going.begin()
        assert await told.get() == HEAVY
        while going.is_running:
            await asyncio.sleep(0)
