"""Every process is asked for its figures, and one that hangs does not delay the others."""

import asyncio

from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.worker.notices import OwnZygote
from greenroom.supervisor.processes.memory_report import SUPERVISOR_ID, FootprintCollector, ProcessFootprint
from tests.support.loop import on_loop
from tests.support.virtual_time import in_virtual_time

A, B = WorkerId("a"), WorkerId("b")
HELD = Footprint(uss=1, pss=2, descriptors=3)


class Asked:
    """Counts the rounds, each of which asks A and B."""

    def __init__(self) -> None:
        self.rounds = 0

    def __call__(self) -> list[WorkerId]:
        self.rounds += 1
        return [A, B]


@on_loop
async def test_a_round_ends_when_every_process_has_answered() -> None:
    made = FootprintCollector(Asked())
    taking = asyncio.ensure_future(made.collect())
    await asyncio.sleep(0)
    made.receive(A, ProcessFootprint(HELD, OwnZygote(pid=4, restarts=1)))
    made.receive(B, ProcessFootprint(HELD))
    holdings = await taking
    assert holdings[A] == ProcessFootprint(HELD, OwnZygote(pid=4, restarts=1))
    assert holdings[B] == ProcessFootprint(HELD)
    assert holdings[SUPERVISOR_ID].footprint.descriptors
    assert made.last == holdings, "those of the last round are kept, for who asks without a round"


@on_loop
async def test_a_process_that_dies_is_not_waited_for() -> None:
    made = FootprintCollector(Asked())
    taking = asyncio.ensure_future(made.collect())
    await asyncio.sleep(0)
    made.receive(A, ProcessFootprint(HELD))
    made.forget(B)
    assert set(await taking) == {A, SUPERVISOR_ID}


@in_virtual_time
async def test_a_process_that_hangs_is_waited_for_a_moment_at_most() -> None:
    made = FootprintCollector(Asked())
    begun = asyncio.get_running_loop().time()
    taking = asyncio.ensure_future(made.collect())
    await asyncio.sleep(0)
    made.receive(A, ProcessFootprint(HELD))
    assert set(await taking) == {A, SUPERVISOR_ID}
    assert asyncio.get_running_loop().time() - begun <= 0.3
    made.receive(B, ProcessFootprint(HELD))
    assert set(await made.collect()) == {SUPERVISOR_ID}, "what came too late does not count"


@on_loop
async def test_who_asks_while_a_round_is_under_way_shares_it_also_when_the_first_gives_up() -> None:
    asked = Asked()
    made = FootprintCollector(asked)
    first, second = (asyncio.ensure_future(made.collect()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    made.receive(A, ProcessFootprint(HELD))
    made.receive(B, ProcessFootprint(HELD))
    assert set(await second) == {A, B, SUPERVISOR_ID}
    assert asked.rounds == 1


@on_loop
async def test_a_server_without_children_is_surveyed_at_once() -> None:
    assert set(await FootprintCollector(list).collect()) == {SUPERVISOR_ID}


@on_loop
async def test_what_is_young_enough_is_not_asked_for_again_and_those_that_died_are_left_out() -> None:
    asked, clock = Asked(), [100.0]
    made = FootprintCollector(asked, lambda: clock[0])
    taking = asyncio.ensure_future(made.collect(30.0))
    await asyncio.sleep(0)
    for who in (A, B):
        made.receive(who, ProcessFootprint(HELD))
    assert set(await taking) == {A, B, SUPERVISOR_ID}
    clock[0] += 29.9
    made.forget(B)
    assert set(await made.collect(30.0)) == {A, SUPERVISOR_ID}
    assert asked.rounds == 1
    clock[0] += 0.1
    again = asyncio.ensure_future(made.collect(30.0))
    await asyncio.sleep(0)
    assert asked.rounds == 2, "it is too old now"
    made.forget(A)
    made.forget(B)
    assert set(await again) == {SUPERVISOR_ID}
    taking = asyncio.ensure_future(made.collect())
    await asyncio.sleep(0)
    assert asked.rounds == 3, "who names no age gets what holds now"
    made.forget(A)
    made.forget(B)
    await taking
