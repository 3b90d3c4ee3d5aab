"""Ways in which what nodes need is broken, on the host and on a node's machine, and what is to be found of each."""

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from greenroom.protocol.report import NodeEntry
from greenroom.protocol.version import __version__
from greenroom.supervisor.cli.doctor.check_context import NodeAim
from greenroom.supervisor.cli.doctor.checks import nodes
from greenroom.supervisor.cli.doctor.cluster import ClusterError, Machines
from greenroom.supervisor.node.identity import NodeIdentity
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes.keys import HOST_KEY, KNOWN, NodeKeys, write_private
from tests.supervisor.cli.doctor.broken_scenes import Broken, Prepare, Stagehand
from tests.supervisor.cli.doctor.scene import Scene
from tests.support.nodes import free_ports


def table(scene: Scene, *lines: str, listen: str = "", more: str = "") -> None:
    """Set nodes, at ports that are free unless it is said."""
    at = listen or f"tcp://127.0.0.1:{free_ports()}"
    scene.configure(tables="\n".join(("[greenroom.nodes]", f'listen = "{at}"', *lines, more)))


# The host


def foreign_address(scene: Scene, _: Stagehand) -> None:
    table(scene, listen="tcp://192.0.2.1:7700")


def port_is_taken(scene: Scene, hand: Stagehand) -> None:
    first = free_ports()
    taken = socket.socket()
    hand.stack.callback(taken.close)
    taken.bind(("127.0.0.1", first + 2))
    taken.listen()
    table(scene, listen=f"tcp://127.0.0.1:{first}")


def key_is_open(scene: Scene, _: Stagehand) -> None:
    table(scene)
    NodeKeys(str(scene.home)).host_keys()
    (scene.home / HOST_KEY).chmod(0o640)


def key_is_none(scene: Scene, _: Stagehand) -> None:
    table(scene)
    scene.write(HOST_KEY, "{}")


def known_is_garbage(scene: Scene, _: Stagehand) -> None:
    table(scene)
    scene.write(KNOWN, "[")


def old_ticket(scene: Scene, _: Stagehand) -> None:
    table(scene)
    NodeKeys(str(scene.home), clock=lambda: 0.0).issue("n1")


def no_such_directory(scene: Scene, _: Stagehand) -> None:
    table(scene, more=f'[greenroom.nodes.n1.paths]\n"{scene.root}/gone" = "/srv"')


def joined(**facts: Any) -> Prepare:
    """Have a host that reports a node which stands like this."""

    def prepare(scene: Scene, hand: Stagehand) -> None:
        table(scene)
        entry = NodeEntry(
            **{"name": "n1", "state": "ready", "capacity": 4, "workers": 1, "version": __version__, **facts}
        )
        report = type("Played", (), {"nodes": [entry]})()
        hand.patch.setattr(nodes, "_ask", lambda _: nodes.ServerReports([report], has_silent=False))

    return prepare


# Ray


def with_ray(scene: Scene, cluster: Callable[..., Any] | None, *lines: str, has_package: bool = True) -> None:
    table(scene, 'engine = "ray"', more="\n".join(("[greenroom.nodes.ray]", *lines)))
    scene.machine = replace(scene.machine, has_package=lambda _: has_package)
    if cluster is not None:
        scene.machine = replace(scene.machine, cluster=cluster)


def cluster_of(*machines: Mapping[str, float]) -> Callable[..., Any]:
    async def ask(*_: object) -> Machines:
        return machines

    return ask


async def no_cluster(*_: object) -> Machines:
    raise ClusterError("it is not there")


def ray_is_not_installed(scene: Scene, _: Stagehand) -> None:
    with_ray(scene, None, has_package=False)


def ray_is_away(scene: Scene, _: Stagehand) -> None:
    with_ray(scene, no_cluster)


def ray_has_no_such_machine(scene: Scene, _: Stagehand) -> None:
    with_ray(scene, cluster_of({"CPU": 2.0}, {"gpu_box": 1.0}), "num_cpus = 1", "resources = { gpu_box = 1.0 }")


def ray_has_too_few_machines(scene: Scene, _: Stagehand) -> None:
    with_ray(scene, cluster_of({"CPU": 2.0}), "min_nodes = 2", "max_nodes = 2", 'spread = "STRICT_SPREAD"')


# A node's machine


def aim(scene: Scene, **more: Any) -> None:
    """Let the machine of the scene be that of a node, with a host that does not answer."""
    state = scene.root / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    scene.patience = replace(scene.patience, node=0.3)
    scene.node = NodeAim(**{"join": f"tcp://127.0.0.1:{free_ports()}", "state": str(state), **more})


def identity(scene: Scene, name: str = "n1") -> None:
    """Give the node a key."""
    made = NodeIdentity(name, key_pair().public, key_pair(), ticket="")
    write_private(str(scene.root / "state" / HOST_KEY), msgspec.json.encode(made))


def ticket(scene: Scene, name: str = "n1", pool: int | None = None) -> str:
    """Write a ticket, and return its path."""
    path = str(scene.root / "ticket")
    write_private(path, msgspec.json.encode(NodeKeys(str(scene.home)).issue(name, pool)))
    return path


def nothing_is_there(scene: Scene, _: Stagehand) -> None:
    aim(scene)


def ticket_is_missing(scene: Scene, _: Stagehand) -> None:
    aim(scene, ticket=str(scene.root / "nowhere"))


def ticket_is_open(scene: Scene, _: Stagehand) -> None:
    path = ticket(scene)
    os.chmod(path, 0o644)
    aim(scene, ticket=path)


def ticket_is_garbage(scene: Scene, _: Stagehand) -> None:
    path = str(scene.root / "ticket")
    write_private(path, json.dumps({"name": 1}).encode())
    aim(scene, ticket=path)


def ticket_of_a_pool(scene: Scene, _: Stagehand) -> None:
    aim(scene, ticket=ticket(scene, "pool", 2))


def key_of_a_node_is_open(scene: Scene, _: Stagehand) -> None:
    aim(scene)
    identity(scene)
    (scene.root / "state" / HOST_KEY).chmod(0o644)


def another_name(scene: Scene, _: Stagehand) -> None:
    aim(scene, name="n2")
    identity(scene)


def state_is_unwritable(scene: Scene, _: Stagehand) -> None:
    (scene.root / "file").write_text("")
    aim(scene, state=str(scene.root / "file" / "state"))


def host_is_away(scene: Scene, _: Stagehand) -> None:
    aim(scene)
    identity(scene)


def directory_is_missing(scene: Scene, _: Stagehand) -> None:
    aim(scene, directories=(str(scene.root / "gone"),))


HOST_SCENES: Mapping[str, Broken] = {
    "nodes at a foreign address": Broken(foreign_address, "nodes", "fail", "192.0.2.1", "ip address"),
    "a port for nodes is taken": Broken(port_is_taken, "nodes", "fail", "other programs listen", "ss -ltnp"),
    "the host's key is open": Broken(key_is_open, "nodes", "fail", "chmod 600", "no node can join"),
    "the host's key is none": Broken(key_is_none, "nodes", "fail", "holds no key pair", "Do what the message says"),
    "keys of nodes are garbage": Broken(known_is_garbage, "nodes", "fail", "cannot be read", "Do what the message"),
    "a ticket is over": Broken(old_ticket, "nodes", "warning", "ticket of n1 is over", "greenroom node ticket n1"),
    "a mapped directory is missing": Broken(no_such_directory, "nodes", "warning", "is no directory", "n1.paths"),
    "a node is away": Broken(joined(state="away", heard_ago=1.2), "nodes", "warning", "for 1.2 s", "network between"),
    "a node is lost": Broken(joined(state="lost"), "nodes", "warning", "n1 is lost", "greenroom node revoke n1"),
    "a node never came": Broken(joined(state="absent"), "nodes", "warning", "has not joined", "greenroom node --join"),
    "a node of another version": Broken(joined(version="9.9"), "nodes", "warning", "version 9.9", "greenroom drain n1"),
    "a node lacks memory": Broken(joined(free_memory=1 << 20), "nodes", "warning", "1.0MB of memory", "n1.capacity"),
    "a node's disk is full": Broken(joined(free_disk=0), "nodes", "warning", "of disk left", "--state"),
    "a node has no sandbox": Broken(
        joined(sandbox="there is no Landlock"), "nodes", "warning", "no Landlock", "greenroom node --doctor"
    ),
    "Ray is not installed": Broken(ray_is_not_installed, "nodes.ray", "fail", "not installed", "greenroom[ray]"),
    "Ray is away": Broken(ray_is_away, "nodes.ray", "fail", "it is not there", "ray start"),
    "Ray has no such machine": Broken(
        ray_has_no_such_machine, "nodes.ray", "warning", "gpu_box=1", "add such a machine"
    ),
    "Ray has too few machines": Broken(ray_has_too_few_machines, "nodes.ray", "warning", "1 machines", "min_nodes"),
}
NODE_SCENES: Mapping[str, Broken] = {
    "nothing is there": Broken(nothing_is_there, "node.state", "fail", "no ticket is named", "greenroom node ticket"),
    "ticket is missing": Broken(ticket_is_missing, "node.state", "fail", "there is no ticket", "made on the host"),
    "ticket is open": Broken(ticket_is_open, "node.state", "fail", "chmod 600", "made on the host"),
    "ticket is garbage": Broken(ticket_is_garbage, "node.state", "fail", "is no ticket", "Make another ticket"),
    "ticket of a pool": Broken(ticket_of_a_pool, "node.state", "fail", "has no name of it", "--name"),
    "key is open": Broken(key_of_a_node_is_open, "node.state", "fail", "chmod 600", "run this again"),
    "another name": Broken(another_name, "node.state", "fail", "the key of node n1", "--state"),
    "state is unwritable": Broken(state_is_unwritable, "node.state", "fail", "can write to", "--state"),
    "host is away": Broken(host_is_away, "node.host", "fail", "Connection refused", "greenroom.nodes.listen"),
    "host says nothing": Broken(host_is_away, "node.key", "fail", "does not answer", "node.host"),
    "directory is missing": Broken(directory_is_missing, "node.directories", "fail", "no directory", "Make or mount"),
}
