"""Two nodes of a Ray cluster whose workers, nodes, actors, machines, links, disks, head and host are lost at random.

Every call is answered once, every answered turn is in its session file, in order, and nothing is left anywhere. Only
`make chaos-nodes` does so, for ten minutes: how soon Ray starts what was killed is its own decision. The machines are
raylets, each in a namespace of its own where that can be made; links are cut only there.
"""

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import TypeAlias

import psutil
import pytest

from tests.support import processes
from tests.support.delayed_link import Relay
from tests.support.host import Host, SocketClient
from tests.support.ledger import PATIENCE, TURN, Ledger
from tests.support.namespaces import Networks, networks
from tests.support.nodes import free_ports, reports, settings
from tests.support.ray_cluster import LOOPBACK, REASON, RayCluster, is_installed
from tests.support.small_disk import SmallDisk
from tests.support.stage import Stage

SECONDS = float(os.environ.get("GREENROOM_CHAOS_SECONDS", "60"))
CONVERSATIONS = int(os.environ.get("GREENROOM_CHAOS_CONVERSATIONS", "4"))
SEED = int(os.environ.get("GREENROOM_SEED") or 15)
CUTS = (1.0, 5.0, 60.0) if SECONDS >= 300 else (1.0, 5.0)
"""Seconds that a link is cut."""
BACK = 240.0 * PATIENCE
"""Seconds in which a node has to be there again: Ray takes up to 65 s to miss a machine, the host waits up to 60 s
before it asks for another node in place of one that Ray has given up, and the rest is for starts."""

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(2 * SECONDS + 2 * BACK + 300),
    pytest.mark.skipif("GREENROOM_CHAOS_SECONDS" not in os.environ, reason="it is played by `make chaos-nodes`"),
    pytest.mark.skipif(not is_installed(), reason=REASON),
]

Loss: TypeAlias = Callable[[random.Random], None]


class Site:
    """A host, a cluster with a head that runs nothing, and two machines with room for one node each."""

    def __init__(self, stage: Stage, stack: ExitStack) -> None:
        self._stage = stage
        self._net = _networks(stack)
        ip = LOOPBACK if self._net is None else self._net.address
        self.disk = stack.enter_context(SmallDisk())
        self.cluster = RayCluster(stage, cpus=0, ip=ip, XDG_STATE_HOME=str(self.disk.path))
        stack.callback(self.cluster.close)
        self._machines = {number: self._machine(number) for number in range(2)}
        self._heal_at: dict[int, float] = {}
        self._has_head = True
        model = stage.play(TURN)
        port = free_ports(1)
        relay = Relay({port: int(model.base_url.split(":")[2].split("/")[0])}, listen=ip)
        stack.callback(relay.close)
        ray = f'[greenroom.nodes.ray]\naddress = "{self.cluster.address}"\nmin_nodes = 2\nmax_nodes = 2\n'
        table = settings(free_ports(), address=ip, host_capacity=0, engine="ray", more=ray)
        stage.home.configure(f"http://{ip}:{port}/v1", more=table)
        self.host = Host(stage, **self.cluster.variables)
        stack.callback(self._end_host)
        self.client: SocketClient = self.host.client()
        self.await_nodes(2)

    @property
    def hit(self) -> set[str]:
        """Nodes whose turns may be lost: any, since a name says nothing of the machine."""
        return {str(node["name"]) for one in reports(self._stage) for node in one["nodes"]}

    @property
    def losses(self) -> list[Loss]:
        found: list[Loss] = [self.kill_worker, self.kill_worker, self.kill_node, self.kill_actor]
        found += [self.kill_connection, self.lose_machine, self.kill_head, self.kill_host]
        found += [self.fill_disk] if self.disk.is_small else []
        found += [self.cut] if self._net is not None else []
        return found

    def kill_worker(self, dice: random.Random) -> None:
        _kill_one(processes.named(self.cluster.processes(), "gr-worker"), dice)

    def kill_node(self, dice: random.Random) -> None:
        _kill_one(self.cluster.nodes(), dice)

    def kill_actor(self, dice: random.Random) -> None:
        _kill_one(self.cluster.actors(), dice)

    def kill_connection(self, dice: random.Random) -> None:
        _kill_one(processes.named(processes.tree(self.host.pid), "gr-ray"), dice)

    def lose_machine(self, dice: random.Random) -> None:
        _kill_one(self._machines.values(), dice)

    def kill_head(self, _: random.Random) -> None:
        self._has_head = False
        self.cluster.head().kill()

    def kill_host(self, _: random.Random) -> None:
        self.host.process.kill()
        self.host.process.wait()
        self.host = Host(self._stage, **self.cluster.variables)

    def fill_disk(self, _: random.Random) -> None:
        self.disk.fill()

    def cut(self, dice: random.Random) -> None:
        number = dice.randrange(2)
        if self._net is not None and number not in self._heal_at:
            self._net.cut(number)
            self._heal_at[number] = time.monotonic() + dice.choice(CUTS)

    def mend(self) -> None:
        """Heal what is due, start again what was lost, and wait until a node is there to lose."""
        self._heal()
        self.disk.empty()
        if not self._has_head:
            self.cluster.end_all()
            self.cluster.start_head()
            self._has_head = True
        self._start_lost_machines()
        self.await_nodes(1)

    def mend_all(self) -> None:
        self._heal_at = dict.fromkeys(self._heal_at, 0.0)
        self.mend()
        self.await_nodes(2)

    def await_nodes(self, count: int) -> None:
        """Wait until so many nodes take conversations."""
        began = time.monotonic()
        while len(self._ready()) < count:
            assert time.monotonic() - began < BACK, self._told()
            time.sleep(0.05)
            self._heal()  # a group of nodes may need all machines
            self._start_lost_machines()
        if time.monotonic() - began > 1:
            print(f"{count} there after {time.monotonic() - began:.1f} s", flush=True)

    def _heal(self) -> None:
        for number in [one for one, due in self._heal_at.items() if time.monotonic() >= due]:
            assert self._net is not None
            self._net.heal(number)
            del self._heal_at[number]

    def _start_lost_machines(self) -> None:
        """Start machines that were lost, and those that Ray has ended since it took them for dead during a cut."""
        for number, raylet in self._machines.items():
            if not processes.alive(raylet.pid) and number not in self._heal_at:
                self._machines[number] = self._machine(number)

    def _machine(self, number: int) -> psutil.Process:
        if self._net is None:
            return self.cluster.add_machine(cpus=1)
        return self.cluster.add_machine(cpus=1, ip=self._net.address_of(number), prefix=self._net.prefix(number))

    def _ready(self) -> list[str]:
        told = [one for one in reports(self._stage) if one["instance"]["pid"] == self.host.pid]
        return [node["name"] for one in told for node in one["nodes"] if node["state"] == "ready" and node["workers"]]

    def _end_host(self) -> None:
        self.host.end()  # the one of that moment

    def _told(self) -> str:
        """Return how all stands, for people."""
        found = [(one["nodes"], one["instance"]) for one in reports(self._stage)]
        names = [processes.name_of(one) for one in self.cluster.processes()]
        return f"{found}\n{names}\n{self.host.log.read_text(errors='replace')[-6000:]}"


def _networks(stack: ExitStack) -> Networks | None:
    try:
        return stack.enter_context(networks(2))
    except OSError:
        return None


def _kill_one(found: Iterable[psutil.Process], dice: random.Random) -> None:
    living = sorted(found, key=lambda process: process.pid)
    if living:
        with contextlib.suppress(psutil.NoSuchProcess):
            dice.choice(living).kill()


def test_every_call_is_answered_once_no_answered_turn_is_lost_and_nothing_is_left(stage: Stage) -> None:
    dice = random.Random(SEED)
    stage.kills_expected = True
    with ExitStack() as stack:
        site, ledger = Site(stage, stack), Ledger(stage, CONVERSATIONS)
        ledger.begin(site)
        due = list(dice.sample(site.losses, len(site.losses)))  # each at least once
        end = time.monotonic() + SECONDS
        while due or time.monotonic() < end:
            loss = due.pop() if due else dice.choice(site.losses)
            ledger.round(site, partial(strike, loss, dice))
            ledger.outcomes[f"loss: {loss.__name__}"] += 1
            print(f"{time.monotonic():.1f}", loss.__name__, dict(ledger.outcomes), flush=True)
            site.mend()
        site.mend_all()
        before = ledger.outcomes["answered"]
        ledger.round(site, lambda: None)
        assert ledger.outcomes["answered"] == before + CONVERSATIONS, "all is well again"
        ledger.check()
        print(dict(ledger.outcomes))
        site.host.end()
        ours = [one for one in site.cluster.processes() if processes.name_of(one) in ("gr-node", "gr-worker")]
        assert not processes.remaining(ours, 10.0), "they end with the host"
    assert not stage.left_over(5.0)
    assert not list(processes.marked(stage.run))


def strike(loss: Loss, dice: random.Random) -> None:
    """Let a loss happen somewhere in the turns."""
    time.sleep(dice.random() * 0.5)
    loss(dice)
