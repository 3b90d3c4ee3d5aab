"""Two nodes of a Ray cluster whose workers, nodes, actors and connection to Ray are lost at random.

Every call is answered, and no answered turn is lost. Only `make chaos-nodes` does so, for ten minutes, with machines
that are lost too: how soon Ray starts what was killed is its own decision.
"""

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence

import psutil
import pytest

from greenroom.demo.script import Text, Think, rule
from tests.support import processes
from tests.support.client import text, thread_id
from tests.support.deadline import until
from tests.support.home import records
from tests.support.host import Host, hosting
from tests.support.nodes import free_ports, report, settings
from tests.support.ray_cluster import REASON, RayCluster, is_installed
from tests.support.stage import Stage

SECONDS = float(os.environ.get("GREENROOM_CHAOS_SECONDS", "60"))
CONVERSATIONS = int(os.environ.get("GREENROOM_CHAOS_CONVERSATIONS", "4"))
IS_LONG = "GREENROOM_CHAOS_SECONDS" in os.environ

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(SECONDS + 300),
    pytest.mark.skipif(not IS_LONG, reason="it is played by `make chaos-nodes`"),
    pytest.mark.skipif(not is_installed(), reason=REASON),
]

ANSWER = "An answer that is not to be lost."
LONG = 120.0


class Site:
    """A cluster with a head that runs nothing, and two machines."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.cluster = RayCluster(stage, cpus=0)

    def kill_worker(self, host: Host, dice: random.Random) -> None:
        self._kill_one(processes.named(self.cluster.processes(), "gr-worker"), dice)

    def kill_node(self, host: Host, dice: random.Random) -> None:
        self._kill_one(self.cluster.nodes(), dice)

    def kill_actor(self, host: Host, dice: random.Random) -> None:
        self._kill_one(self.cluster.actors(), dice)

    def kill_connection(self, host: Host, dice: random.Random) -> None:
        self._kill_one(processes.named(processes.tree(host.process.pid), "gr-ray"), dice)

    def lose_machine(self, host: Host, dice: random.Random) -> None:
        machine = self.cluster.add_machine(cpus=1)
        self._kill_one([raylet for raylet in self.cluster.raylets()[1:] if raylet.pid != machine.pid], dice)

    @property
    def happenings(self) -> Sequence[Callable[[Host, random.Random], None]]:
        found = [self.kill_worker, self.kill_worker, self.kill_node, self.kill_actor, self.kill_connection]
        if IS_LONG:
            found.append(self.lose_machine)
        return found

    @staticmethod
    def _kill_one(found: list[psutil.Process], dice: random.Random) -> None:
        if found:
            with contextlib.suppress(psutil.NoSuchProcess):
                dice.choice(found).kill()


@pytest.fixture
def site(stage: Stage) -> Iterator[Site]:
    made = Site(stage)
    try:
        for _ in range(2):
            made.cluster.add_machine(cpus=1)
        yield made
    finally:
        stage.kills_expected = True
        made.cluster.close()


def test_every_call_is_answered_and_no_answered_turn_is_lost(stage: Stage, site: Site) -> None:
    dice = random.Random(15)
    more = f'[greenroom.nodes.ray]\naddress = "{site.cluster.address}"\nmin_nodes = 2\nmax_nodes = 2\n'
    table = settings(free_ports(), host_capacity=0, engine="ray", more=more)
    stage.play(rule("go", [Text("So. "), Think(0.3), Text(ANSWER)]), more=table)
    with hosting(stage, **site.cluster.variables) as host:
        client = host.client()
        until(lambda: [node["state"] for node in report(stage)["nodes"]] == ["ready", "ready"], LONG)
        threads = [thread_id(client.result(client.codex("go", cwd=stage.cwd), within=60)) for _ in range(CONVERSATIONS)]
        answered = dict.fromkeys(threads, 1)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            calls = {thread: client.reply(thread, "go") for thread in threads}
            dice.choice(site.happenings)(host, dice)
            for thread, call in calls.items():
                result = client.result(call, within=60)
                if result.get("isError"):
                    error = result["structuredContent"]["error"]
                    assert error["kind"] in ("worker_crashed", "start_failed", "session_unsaved"), error
                else:
                    assert text(result).endswith(ANSWER)
                    answered[thread] += 1
        assert sum(answered.values()) > CONVERSATIONS, "some went on"
        for thread, count in answered.items():
            told = [payload for kind, payload in records(stage.home.session(thread)) if kind == "response_item"]
            assert sum(ANSWER in str(item.get("content")) for item in told if item.get("role") == "assistant") >= count
        until(lambda: [node["state"] for node in report(stage)["nodes"]] == ["ready", "ready"], LONG)
        nodes = site.cluster.nodes()
    assert not processes.remaining(nodes, 10.0), "they end with the host"
