"""The process that speaks with Ray: it is started again whenever it ends, and nothing waits for it while it hangs."""

import asyncio
import time
from collections.abc import Callable

from greenroom.protocol.internal.outpost import Begin, Outpost, Seen, Wanted
from greenroom.runtime.process import orphans
from greenroom.runtime.restart import Delays
from greenroom.supervisor.processes.nodes.ray.process import HUNG, RayProcess
from greenroom.supervisor.processes.service_state import ServiceStatus
from tests.supervisor.processes.nodes.ray.test_outpost_actor import BEGIN
from tests.support import processes

SPEAK = """
import os, socket, time
from greenroom.protocol.internal.outpost import Seen, SeenOutpost, Wanted, encode_datagram, read_to_ray
control = socket.socket(fileno=3)
while True:
    message = read_to_ray(control.recv(1 << 20))
    if isinstance(message, Wanted):
        control.send(encode_datagram(Seen(True, tuple(SeenOutpost(one, "pending") for one in message.outposts))))
"""
WANTED = Wanted(outposts=(Outpost("ray-1"),), admitted={})


async def found(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not look():
            await asyncio.sleep(0.01)


def made(statement: str, seen: list[Seen], begin: Begin = BEGIN, hung_s: float = HUNG) -> RayProcess:
    variables = {"PATH": "/usr/bin", "OPENAI_API_KEY": "x", "RAY_AUTH_TOKEN": "y"}
    at_once = Delays((0.0,), healthy_after=60.0)
    return RayProcess(begin, variables, seen.append, statement=statement, restart=at_once, hung_s=hung_s)


def test_each_process_is_told_what_is_wanted_and_a_dead_one_is_followed_by_another() -> None:
    asyncio.run(is_followed())


async def is_followed() -> None:
    seen: list[Seen] = []
    talker = made(SPEAK, seen)
    talker.start()
    talker.want(WANTED)
    assert (talker.status.state, talker.status.pid) == ("starting", talker.pid)
    await found(lambda: [one.outposts[0].outpost.name for one in seen if one.outposts] == ["ray-1"])
    assert talker.status == ServiceStatus("ready", talker.pid, 0)
    first = talker.pid
    assert first is not None
    environment = processes.process(first).environ()
    assert environment["RAY_AUTH_TOKEN"] == "y"
    assert "OPENAI_API_KEY" not in environment
    others = set(orphans.children()) - {first}  # of other tests, which are to live
    assert orphans.kill_orphans(others) == [], "it is no orphan"
    processes.process(first).kill()
    await found(lambda: talker.pid not in (None, first) and seen[-1].is_connected)
    assert not seen[1].is_connected
    assert "-9" in seen[1].error
    assert talker.status == ServiceStatus("ready", talker.pid, 1)
    assert talker.status.restarts == 1
    last = talker.pid
    assert last is not None
    talker.close()
    await found(lambda: talker.pid is None)
    assert processes.ends(last, 5.0)


def test_one_that_hangs_is_killed_and_nothing_waits_for_it() -> None:
    asyncio.run(hangs())


async def hangs() -> None:
    talker = made("import time; time.sleep(600)", [], hung_s=1.0)
    began = time.monotonic()
    talker.start()
    for number in range(500):
        talker.want(Wanted(outposts=tuple(Outpost(f"ray-{each}") for each in range(number % 100)), admitted={}))
    assert time.monotonic() - began < 20.0, "far from as long as it sleeps"
    first = talker.pid
    assert first is not None
    looked_at = []

    def killed() -> bool:
        looked_at.append(time.monotonic())
        talker.look()
        return talker.pid not in (None, first)

    await found(killed)
    assert looked_at[-1] - began >= 1.0, "it had its time"
    assert processes.ends(first, 5.0)
    pid = talker.pid
    assert pid is not None
    talker.close()
    assert processes.ends(pid, 5.0)
    await found(lambda: talker.pid is None)
