"""Conversations leave a node that is drained, once and in time, and those that wait use the room of a new one."""

import asyncio

from greenroom.protocol.ids import NodeName
from greenroom.supervisor.conversations.node_follower import NodeFollower

N1, N2 = NodeName("n1"), NodeName("n2")


class Site:
    """Nodes, and what is asked of conversations."""

    def __init__(self, drain: float = 60.0) -> None:
        self.draining: set[str] = set()
        self.asked: list[str] = []
        self.interrupted = asyncio.Event()
        self.follower = NodeFollower(self, self, drain)

    def is_draining(self, name: str) -> bool:
        return name in self.draining

    def vacate(self, node: NodeName, *, interrupt: bool = False) -> None:
        self.asked.append(f"{'interrupt' if interrupt else 'vacate'} {node}")
        if interrupt:
            self.interrupted.set()

    def fill(self) -> None:
        self.asked.append("fill")


def test_whatever_changes_but_a_drain_may_have_made_room() -> None:
    async def scene() -> list[str]:
        site = Site()
        site.follower.follow(N1)
        site.follower.follow(N2)
        return site.asked

    assert asyncio.run(scene()) == ["fill", "fill"]


def test_a_drained_node_is_left_once_and_turns_are_ended_after_a_while() -> None:
    async def scene() -> list[str]:
        site = Site(drain=0.01)
        site.draining = {N1}
        site.follower.follow(N1)
        site.follower.follow(N1)
        site.follower.follow(N2)
        async with asyncio.timeout(10):
            await site.interrupted.wait()
        return site.asked

    assert asyncio.run(scene()) == ["vacate n1", "fill", "interrupt n1"]


def test_nothing_is_ended_on_a_node_that_has_left_and_come_back() -> None:
    async def scene() -> list[str]:
        site = Site(drain=0.02)
        site.draining = {N1, N2}
        site.follower.follow(N1)
        site.follower.follow(N2)
        site.draining = {N2}
        site.follower.follow(N1)
        async with asyncio.timeout(10):
            await site.interrupted.wait()
        return site.asked

    assert asyncio.run(scene()) == ["vacate n1", "vacate n2", "fill", "interrupt n2"]
