"""The supervisor hears of a change once every worker has seen it, or half a second later (docs/security.md, K15)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from greenroom.broker.change_fanout import ChangeFanout
from greenroom.protocol.internal.broker.broadcasts import AuthChanged
from tests.support.virtual_time import VirtualTimeLoop


def changed(generation: int, reason: str = "external") -> AuthChanged:
    return AuthChanged(
        generation=generation,
        state="API_KEY",
        mode="apikey",
        identity_changed=False,
        reason=reason,  # type: ignore[arg-type]
    )


class Hearing:
    """What was said, in order."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []
        self.changes = ChangeFanout(
            lambda change: self.said.append(("workers", change.generation)),
            lambda change: self.said.append(("supervisor", change.generation)),
        )


def play(scene: Callable[[Hearing], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene(Hearing())

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())


def test_the_supervisor_comes_last() -> None:
    async def scene(hearing: Hearing) -> None:
        for name in ("a", "b"):
            hearing.changes.welcome(name, 1)
        hearing.changes.announce(changed(2))
        hearing.changes.acknowledge("a", 2)
        await asyncio.sleep(0)
        assert hearing.said == [("workers", 2)]
        hearing.changes.acknowledge("b", 2)
        await hearing.changes.settle()
        assert hearing.said == [("workers", 2), ("supervisor", 2)]

    play(scene)


def test_a_worker_that_left_is_not_waited_for() -> None:
    async def scene(hearing: Hearing) -> None:
        hearing.changes.welcome("a", 1)
        hearing.changes.announce(changed(2))
        await asyncio.sleep(0)
        hearing.changes.forget("a")
        hearing.changes.acknowledge("a", 2)
        async with asyncio.timeout(0.4):
            await hearing.changes.settle()
        assert hearing.said == [("workers", 2), ("supervisor", 2)]

    play(scene)


def test_a_silent_worker_costs_half_a_second() -> None:
    async def scene(hearing: Hearing) -> None:
        hearing.changes.welcome("a", 1)
        begun = asyncio.get_running_loop().time()
        hearing.changes.announce(changed(2))
        await hearing.changes.settle()
        assert hearing.said[-1] == ("supervisor", 2)
        assert asyncio.get_running_loop().time() - begun == pytest.approx(0.5, abs=0.05)

    play(scene)


def test_changes_keep_their_order() -> None:
    async def scene(hearing: Hearing) -> None:
        hearing.changes.welcome("a", 1)
        for generation in (2, 3, 4):
            hearing.changes.announce(changed(generation))
        hearing.changes.acknowledge("a", 4)
        await hearing.changes.settle()
        assert [said for said in hearing.said if said[0] == "supervisor"] == [("supervisor", n) for n in (2, 3, 4)]

    play(scene)


@pytest.mark.parametrize("reason", ["login", "logout"])
def test_what_the_supervisor_asked_for_it_hears_in_the_answer(reason: str) -> None:
    """K16."""

    async def scene(hearing: Hearing) -> None:
        hearing.changes.announce(changed(2, reason))
        await hearing.changes.settle()
        assert hearing.said == [("workers", 2)]

    play(scene)


def test_who_greets_is_waited_for_until_it_listens() -> None:
    async def scene(hearing: Hearing) -> None:
        greeted = asyncio.create_task(hearing.changes.listening("a"))
        hearing.changes.welcome("b", 1)
        await asyncio.wait({greeted}, timeout=0.4)
        assert not greeted.done()
        hearing.changes.welcome("a", 1)
        await greeted
        await hearing.changes.listening("a")
        begun = asyncio.get_running_loop().time()
        await hearing.changes.listening("nobody")
        assert asyncio.get_running_loop().time() - begun == pytest.approx(0.5, abs=0.05)

    play(scene)


def test_settling_without_changes_is_immediate() -> None:
    with pytest.raises(StopIteration):
        Hearing().changes.settle().send(None)
