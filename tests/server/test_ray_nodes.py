"""Nodes that a Ray cluster starts: where conversations go, and what is lost with an actor, a machine and the head."""

import json
from collections.abc import Iterator

import pytest

from greenroom.demo.script import Stall, Text, rule
from tests.support import processes
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.home import stored_events
from tests.support.host import hosting
from tests.support.model import Gate
from tests.support.nodes import command, free_ports, report, settings
from tests.support.ray_cluster import REASON, RayCluster, is_installed
from tests.support.stage import Stage

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not is_installed(), reason=REASON),
]

HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Text("hm"), Stall()])
BOX = {"greenroom.resources": {"gpu_box": 1}}
LONG = 90.0
"""Seconds that a cluster on a busy machine may take to start something."""


@pytest.fixture
def cluster(stage: Stage) -> Iterator[RayCluster]:
    made = RayCluster(stage, cpus=0)
    try:
        yield made
    finally:
        stage.kills_expected = True
        made.close()


def table(cluster: RayCluster, port: int, **values: object) -> str:
    """Return the settings of a host that has nodes on a cluster."""
    lines = {"address": cluster.address, **values}
    more = "\n".join(["[greenroom.nodes.ray]", *(f"{name} = {json.dumps(value)}" for name, value in lines.items())])
    return settings(port, host_capacity=0, engine="ray", more=more)


def states(stage: Stage) -> dict[str, str]:
    """Return the states of the nodes by their names."""
    return {node["name"]: node["state"] for node in report(stage)["nodes"]}


def node_of(stage: Stage, thread: str) -> str | None:
    """Return the node of a conversation."""
    (found,) = (one["node"] for one in report(stage)["conversations"] if one["id"] == thread)
    assert found is None or isinstance(found, str)
    return found


def error(result: dict[str, object]) -> dict[str, object]:
    """Return the facts of a failure."""
    content = result["structuredContent"]
    assert isinstance(content, dict)
    found: dict[str, object] = content["error"]
    return found


def test_conversations_run_where_ray_has_started_nodes_and_outlive_what_they_can(
    stage: Stage, cluster: RayCluster
) -> None:
    port, gate = free_ports(), Gate()
    wait = rule("wait", [Text("waiting"), gate.wait, Text(" done")])
    stage.play(HELLO, STALL, wait, more=table(cluster, port, max_nodes=2))
    with hosting(stage, **cluster.variables) as host:
        client = host.client()
        assert text(client.result(client.codex("hello", cwd=stage.cwd))) == "Good day.", "at home meanwhile"
        cluster.add_machine(cpus=2)
        until(lambda: states(stage).get("ray-1") == "ready", LONG)
        assert "node ray-1: ready, placed by ray" in command(stage, "status").stdout
        thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))
        assert node_of(stage, thread) == "ray-1"

        # Resources: a node that claims them is asked for, and comes as soon as a machine has them.
        boxed = client.codex("hello", cwd=stage.cwd, config=BOX)
        until(lambda: len(report(stage)["nodes"]) >= 1)
        cluster.add_machine(cpus=2, resources='{"gpu_box": 1}')
        result = client.result(boxed, within=LONG)
        assert text(result) == "Good day."
        assert node_of(stage, thread_id(result)) == "ray-2"
        refused = client.result(client.codex("hello", cwd=stage.cwd, config={"greenroom.resources": {"tpu": 4}}))
        assert kind(refused) == "start_failed"
        assert "no node has tpu=4" in text(refused)

        # The actor of a node is killed: the node ends with it, and Ray starts another.
        call = client.reply(thread, "stall")
        client.event(call, "agent_message_delta")
        living = [one for node in cluster.nodes() for one in processes.tree(node.pid)]
        for actor in cluster.actors():
            actor.kill()
        result = client.result(call, within=10)
        # The node tells of its workers as it ends them, or is lost before that.
        assert {"kind": "worker_crashed", "node": "ray-1"}.items() <= error(result).items()
        assert not processes.remaining(living, 5.0), "no node outlives its actor"
        assert text(client.result(client.reply(thread, "hello"))) == "Good day."
        until(lambda: set(states(stage).values()) == {"ready"}, LONG)

        # Neither the process that speaks with Ray nor Ray's head is needed by what runs.
        thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))
        assert node_of(stage, thread) in ("ray-1", "ray-2")
        call = client.reply(thread, "wait")
        client.event(call, "agent_message_delta")
        (talker,) = processes.named(processes.tree(host.process.pid), "gr-ray")
        cluster.head().kill()
        talker.kill()
        result = client.result(client.codex("hello", cwd=stage.cwd))
        assert text(result) == "Good day."
        assert node_of(stage, thread_id(result)) in ("ray-1", "ray-2"), "a new one, on a known node"
        stage.model.open(gate)
        assert text(client.result(call)).endswith(" done")
        assert "task_complete" in stored_events(stage.home.session(thread))


def test_detached_nodes_wait_for_the_next_host_and_leave_a_machine_that_goes(stage: Stage, cluster: RayCluster) -> None:
    port = free_ports()
    stage.play(HELLO, more=table(cluster, port, detached=True))
    machine = cluster.add_machine(cpus=2)
    with hosting(stage, **cluster.variables) as host:
        client = host.client()
        until(lambda: states(stage).get("ray-1") == "ready", LONG)
        thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))
        assert node_of(stage, thread) == "ray-1"
    (kept,) = cluster.nodes()
    stage.home.configure(stage.model.base_url, more=table(cluster, port, idle_s=1.0))
    with hosting(stage, **cluster.variables) as host:
        client = host.client()
        until(lambda: states(stage).get("ray-1") == "ready", LONG)
        assert [one.pid for one in cluster.nodes()] == [kept.pid]
        assert text(client.result(client.reply(thread, "hello"))) == "Good day."
        assert node_of(stage, thread) == "ray-1"
        cluster.drain(machine)
        assert processes.ends(kept.pid, LONG), "it is drained as soon as Ray says that its machine goes"
        assert "node ray-1 is drained" in stage.told()
        cluster.add_machine(cpus=2)
        until(lambda: "ready" in states(stage).values(), LONG)
        assert text(client.result(client.reply(thread, "hello"))) == "Good day."
        assert node_of(stage, thread) in states(stage)
        living = cluster.nodes()
        assert living
    assert not processes.remaining(living, 10.0), "nodes that are not detached end with their host"
