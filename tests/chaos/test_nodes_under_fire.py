"""Two nodes of a host whose workers, nodes, links, disks and host are lost at random.

Every call is answered once, every answered turn is in its session file, in order, and nothing is left anywhere.
`make chaos-nodes` does so for ten minutes; in the suite it is a few rounds with the same seed.
"""

import os
import random
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest

from greenroom.config.tables.nodes import PORTS
from tests.support import processes
from tests.support.delayed_link import Relay
from tests.support.host import Host, SocketClient
from tests.support.ledger import TURN, WITHIN, Ledger
from tests.support.nodes import NodeProcess, free_ports, reports, settings, ticket
from tests.support.small_disk import SmallDisk
from tests.support.stage import Stage

SECONDS = float(os.environ.get("GREENROOM_CHAOS_SECONDS", "4"))
CONVERSATIONS = int(os.environ.get("GREENROOM_CHAOS_CONVERSATIONS", "4"))
SEED = int(os.environ.get("GREENROOM_SEED") or 15)
IS_LONG = SECONDS >= 300
CUTS = (0.3, 1.0, 5.0, 60.0) if IS_LONG else (0.3, 1.0, 5.0)
"""Seconds that a link is cut."""
LEFT_BY_NODES = (
    "state/.nodes.key",
    "state/.nodes.ticket",
    "state/.greenroom-host.lock",
    "state/config.toml",
    "state/log/",
)
"""What a node keeps between two runs."""

pytestmark = [pytest.mark.server, pytest.mark.timeout(2 * SECONDS + 300)]

Loss: TypeAlias = Callable[[int, random.Random], None]
"""Something that happens to the node of a number."""


class Site:
    """A host, and two nodes, each behind a relay of its own and with a disk of its own."""

    def __init__(self, stage: Stage, stack: ExitStack) -> None:
        self._stage = stage
        self._port = free_ports()
        stage.play(TURN, more=settings(self._port, host_capacity=0))
        self.disks = [stack.enter_context(SmallDisk()) for _ in range(2)]
        self._near = [free_ports() for _ in range(2)]
        self.relays = [
            Relay({near + index: self._port + index for index in range(PORTS)}, delay=0.001) for near in self._near
        ]
        for relay in self.relays:
            stack.callback(relay.close)
        self._heal_at: dict[int, float] = {}
        self._hit: list[set[str]] = [set(), set()]
        """Nodes that something has happened to in the round before, and in this one."""
        self.nodes: list[NodeProcess] = []
        stack.callback(self.end)
        self.host = Host(stage)
        self.client: SocketClient = self.host.client()
        self.nodes += [self._node(number, ticket(stage, f"n{number}")) for number in range(2)]
        for node in self.nodes:
            node.await_workers()

    @property
    def ports(self) -> set[int]:
        return {port + index for port in (self._port, *self._near) for index in range(PORTS)}

    @property
    def hit(self) -> set[str]:
        """Nodes whose turns may be lost in this round."""
        return set().union(*self._hit)

    def strike(self, loss: Loss, number: int, dice: random.Random) -> None:
        """Let a loss happen to a node."""
        self._hit = [self._hit[-1], {f"n{one}" for one in (number, *self._heal_at)}]
        time.sleep(dice.random() * 0.5)  # somewhere in the turns
        loss(number, dice)

    def _node(self, number: int, with_ticket: Path | None = None) -> NodeProcess:
        return NodeProcess(
            self._stage,
            f"n{number}",
            self._near[number],
            with_ticket,
            capacity=CONVERSATIONS,
            place=self.disks[number].path,
        )

    def kill_worker(self, number: int, dice: random.Random) -> None:
        workers = self.nodes[number].workers()
        if workers:
            with suppress(psutil.NoSuchProcess):
                dice.choice(workers).kill()

    def kill_node(self, number: int, _: random.Random) -> None:
        self.nodes[number].kill()
        self.nodes[number] = self._node(number)

    def cut(self, number: int, dice: random.Random) -> None:
        if number not in self._heal_at:
            self.relays[number].cut()
            self._heal_at[number] = time.monotonic() + dice.choice(CUTS)

    def fill_disk(self, number: int, _: random.Random) -> None:
        self.disks[number].fill()

    def kill_host(self, _: int, __: random.Random) -> None:
        self._hit[-1].update(("n0", "n1"))
        self.host.process.kill()
        self.host.process.wait()
        self.host = Host(self._stage)

    def mend(self) -> None:
        """Heal the links whose time has come, empty disks, and start nodes again that have ended."""
        now = time.monotonic()
        for number in [one for one, due in self._heal_at.items() if now >= due]:
            self.relays[number].heal()
            del self._heal_at[number]
        for number, disk in enumerate(self.disks):
            disk.empty()
            if self.nodes[number].process.poll() is not None:
                print("ended by itself:", self.nodes[number].told()[-2000:], flush=True)
                self.nodes[number] = self._node(number)
        up = {f"n{number}" for number in range(2) if number not in self._heal_at}
        ends_at = time.monotonic() + WITHIN
        while not up <= self._ready():  # else there would be nothing to lose
            assert time.monotonic() < ends_at, self._told()
            time.sleep(0.05)

    def _ready(self) -> set[str]:
        """Return the nodes that take workers, and have one."""
        told = [one for one in reports(self._stage) if one["instance"]["pid"] == self.host.pid]
        nodes = [node for one in told for node in one["nodes"]]
        return {str(node["name"]) for node in nodes if node["state"] == "ready" and node["workers"]}

    def _told(self) -> str:
        """Return how all stands, for people."""
        nodes = [f"{node.name}: {node.process.poll()} {node.told()[-2000:]}" for node in self.nodes]
        host = [f"host: {self.host.process.poll()}", str([one["nodes"] for one in reports(self._stage)])]
        return "\n".join([*host, *nodes, self._stage.log.read_text()[-4000:]])

    def mend_all(self) -> None:
        for number in list(self._heal_at):
            self._heal_at[number] = 0.0
        self.mend()

    def end(self) -> None:
        codes = [node.end() for node in self.nodes]
        self.host.end()
        assert codes == [0] * len(codes), [node.told() for node in self.nodes]


def test_every_call_is_answered_once_no_answered_turn_is_lost_and_nothing_is_left(stage: Stage) -> None:
    dice = random.Random(SEED)
    stage.kills_expected = True
    with ExitStack() as stack:
        site, ledger = Site(stage, stack), Ledger(stage, CONVERSATIONS)
        ledger.begin(site)
        losses: list[Loss] = [site.kill_worker, site.kill_worker, site.kill_node, site.cut, site.kill_host]
        losses += [site.fill_disk] if site.disks[0].is_small else []
        due = list(dice.sample(losses, len(losses)))  # each at least once
        until = time.monotonic() + SECONDS
        while due or time.monotonic() < until:
            loss, number = due.pop() if due else dice.choice(losses), dice.randrange(2)
            ledger.round(site, partial(site.strike, loss, number, dice))
            ledger.outcomes[f"loss: {loss.__name__}"] += 1
            print(f"{time.monotonic():.1f}", loss.__name__, number, dict(ledger.outcomes), flush=True)
            site.mend()
        site.mend_all()
        before = ledger.outcomes["answered"]
        ledger.round(site, lambda: None)
        assert ledger.outcomes["answered"] == before + CONVERSATIONS, "all is well again"
        ledger.check()
        print(dict(ledger.outcomes))
        ports = site.ports
        stack.close()
        for disk in site.disks:
            assert not [name for name in disk.left if not name.startswith(LEFT_BY_NODES)], disk.left
    assert not stage.left_over(5.0)
    for port in ports:  # nothing listens at any of them
        with socket.create_server(("127.0.0.1", port)):
            pass
    assert not list(processes.marked(stage.run))
