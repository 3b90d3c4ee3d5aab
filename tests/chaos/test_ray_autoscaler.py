"""What waits for a place makes Ray's autoscaler start a machine, and what is not needed any more lets one go.

The machines are raylets of this one, started by Ray's own provider of false machines; no cloud is asked.
"""

import json
import os
from collections.abc import Iterator

import pytest

from greenroom.demo.script import Text, rule
from tests.support.client import text, thread_id
from tests.support.deadline import until
from tests.support.host import hosting
from tests.support.ledger import PATIENCE
from tests.support.model import Gate
from tests.support.nodes import free_ports, report, settings
from tests.support.ray_cluster import REASON, RayCluster, is_installed
from tests.support.stage import Stage

LONG = 120.0 * PATIENCE
"""Seconds that a start may take: the autoscaler looks each second, and a raylet and an actor start after that."""

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(5 * LONG),
    pytest.mark.skipif("GREENROOM_CHAOS_SECONDS" not in os.environ, reason="it is played by `make chaos-nodes`"),
    pytest.mark.skipif(not is_installed(), reason=REASON),
]


@pytest.fixture
def cluster(stage: Stage) -> Iterator[RayCluster]:
    made = RayCluster(stage, cpus=0, scaled={"CPU": 1, "object_store_memory": 80_000_000})
    try:
        yield made
    finally:
        stage.kills_expected = True
        made.close()


def ready(stage: Stage) -> list[str]:
    """Return the nodes that take conversations."""
    return [node["name"] for node in report(stage)["nodes"] if node["state"] == "ready"]


def test_a_node_without_a_place_gets_a_machine_which_goes_when_the_node_has(stage: Stage, cluster: RayCluster) -> None:
    values = {"address": cluster.address, "min_nodes": 1, "max_nodes": 2, "capacity": 1, "idle_s": 5.0}
    ray = "\n".join(["[greenroom.nodes.ray]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())])
    gate = Gate()
    play = rule("wait", [Text("waiting"), gate.wait, Text(" done")]), rule("hello", [Text("Good day.")])
    table = settings(free_ports(), host_capacity=0, idle_workers=0, wait_for_nodes=True, engine="ray", more=ray)
    stage.play(*play, top="[greenroom]\npark_after_s = 1.0\n", more=table)
    assert len(cluster.raylets()) == 1, "the head alone, which runs nothing"
    with hosting(stage, **cluster.variables) as host:
        until(lambda: ready(stage) == ["ray-1"], LONG)
        assert len(cluster.raylets()) == 2, "a machine for the node that is there always"
        client = host.client()
        first = client.codex("wait", cwd=stage.cwd)
        client.event(first, "agent_message_delta")
        second = client.codex("hello", cwd=stage.cwd)  # for which there is no room
        result = client.result(second, within=LONG)
        assert text(result) == "Good day."
        assert len(cluster.raylets()) == 3
        nodes = {one["id"]: one["node"] for one in report(stage)["conversations"]}
        assert nodes[thread_id(result)] == "ray-2"
        stage.model.open(gate)
        assert text(client.result(first)).endswith(" done")
        until(lambda: len(ready(stage)) == 1 and len(cluster.raylets()) == 2, LONG)
