"""The process `gr-ray`: brings the actors of a Ray cluster in line with what the host wants, and tells what there is.

Calls to Ray may hang for long, which holds up nothing but this process. It ends with the host, and may be killed at any
time: the actors are detached for Ray, so they stay, and the next `gr-ray` finds them by their names.
"""

import contextlib
import logging
import os
import select
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from greenroom.protocol.internal.outpost import (
    Begin,
    Finish,
    Outpost,
    Seen,
    SeenOutpost,
    Wanted,
    encode_datagram,
    read_to_ray,
)
from greenroom.runtime.process import hardening
from greenroom.runtime.process.launch import CONTROL, DATAGRAM

log = logging.getLogger(__name__)

LOOK: Final = 0.5
"""Seconds between two looks at the cluster."""
SETTLE: Final = 20.0
"""Seconds in which actors that were there before have to tell what they claim; those that have not are ended."""
NODE_ID: Final = "ray.io/node-id"
"""The label by which Ray tells machines apart."""


class Cluster:
    """The actors of one host. Every call may wait for Ray, and may raise what Ray raises.

    What Ray returns is not typed here, since it need not be installed.
    """

    def __init__(self, begin: Begin) -> None:
        """Connect."""
        import ray

        self._ray: Any = ray
        self._begin = begin
        ray.init(
            address=begin.address,
            namespace=begin.namespace,
            configure_logging=False,
            log_to_driver=False,
            _skip_env_hook=True,
        )
        self._actors: dict[str, Any] = {}
        self._asked: dict[str, Any] = {}
        """The question to each actor how it stands, until it is answered."""
        self._seen: dict[str, SeenOutpost] = {}
        self.unknown: set[str] = set()
        """Actors that a former `gr-ray` has started, and that have not told yet what they claim."""
        self._admitted: dict[str, str] = {}
        """The key with which each node was told to join last."""

    def look(self) -> tuple[SeenOutpost, ...]:
        """Return how the actors stand that there are, and those that there were."""
        prefix = f"{self._begin.owner}-"
        names = {name.removeprefix(prefix) for name in self._ray.util.list_named_actors() if name.startswith(prefix)}
        for name in names - self._actors.keys():
            self._actors[name] = self._ray.get_actor(prefix + name)
        for name in list(self._actors):
            if name not in names:
                self._gone(name)
            else:
                self._ask(name)
        leaving = self._leaving_machines()
        return tuple(
            msgspec.structs.replace(one, is_leaving=one.machine in leaving)
            for name, one in self._seen.items()
            if name not in self.unknown
        )

    def follow(self, wanted: Wanted) -> None:
        """Start what is wanted and not there, end what is there and not wanted, and let nodes join."""
        outposts = {outpost.name: outpost for outpost in wanted.outposts}
        for name in self._seen.keys() - outposts.keys():
            self._end(name)
        for name in self.unknown & outposts.keys():
            self._seen[name] = msgspec.structs.replace(self._seen[name], outpost=outposts[name])
        self.unknown -= outposts.keys()
        for name, outpost in outposts.items():
            if name not in self._actors and name not in self._seen:
                self._start(outpost)
        for name, key in wanted.admitted.items():
            if name in self._actors and self._seen[name].public_key == key and self._admitted.get(name) != key:
                self._actors[name].admit.remote(key)
                self._admitted[name] = key
        self._remove_groups({outpost.group for outpost in wanted.outposts})

    def end_all(self) -> None:
        """End all actors of the host."""
        self.follow(Wanted(outposts=(), admitted={}))

    def _ask(self, name: str) -> None:
        """Take an actor's answer, and ask again."""
        question = self._asked.get(name)
        if question is None:
            self._asked[name] = self._actors[name].facts.remote()
            if name not in self._seen:
                self._seen[name] = SeenOutpost(Outpost(name), "pending")
                self.unknown.add(name)
            return
        if not self._ray.wait([question], timeout=0)[0]:
            return
        del self._asked[name]
        try:
            outpost, key, machine = self._ray.get(question)
        except self._ray.exceptions.ActorUnavailableError:  # it is being started again
            self._seen[name] = SeenOutpost(self._seen[name].outpost, "pending")
        except self._ray.exceptions.RayActorError as error:
            log.error("node %s: Ray has given its actor up: %s", name, error)
            self._gone(name)
        else:
            self._seen[name] = SeenOutpost(msgspec.json.decode(outpost, type=Outpost), "running", key, machine)
            self.unknown.discard(name)

    def _gone(self, name: str) -> None:
        self._actors.pop(name, None)
        self._asked.pop(name, None)
        self._admitted.pop(name, None)
        self.unknown.discard(name)
        self._seen[name] = SeenOutpost(self._seen[name].outpost if name in self._seen else Outpost(name), "gone")

    def _start(self, outpost: Outpost) -> None:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        from greenroom.supervisor.processes.nodes.ray.outpost_actor import OutpostActor

        options: dict[str, Any] = {
            "name": f"{self._begin.owner}-{outpost.name}",
            "lifetime": "detached",
            "get_if_exists": True,
            "max_restarts": self._begin.max_restarts,
            "num_cpus": outpost.cpus,
            "resources": outpost.resources,
        }
        if outpost.memory:
            options["memory"] = outpost.memory
        if outpost.group:
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                self._group(outpost), placement_group_bundle_index=outpost.bundle
            )
        actor = self._ray.remote(OutpostActor).options(**options)
        self._actors[outpost.name] = actor.remote(msgspec.json.encode(self._begin), msgspec.json.encode(outpost))
        self._seen[outpost.name] = SeenOutpost(outpost, "pending")

    def _end(self, name: str) -> None:
        actor = self._actors.pop(name, None)
        if actor is not None:
            self._ray.kill(actor, no_restart=True)
        for known in (self._asked, self._admitted, self._seen):
            known.pop(name, None)
        self.unknown.discard(name)

    def _group(self, outpost: Outpost) -> Any:
        """Return the placement group of a node, which is made for the first one of it."""
        name = f"{self._begin.owner}-{outpost.group}"
        try:
            return self._ray.util.get_placement_group(name)
        except ValueError:
            pass
        claim = {"CPU": outpost.cpus, "memory": float(outpost.memory), **outpost.resources}
        bundle = {key: amount for key, amount in claim.items() if amount}
        selectors = None
        used = sorted({one.machine for one in self._seen.values() if one.machine})
        if outpost.spread == "STRICT_SPREAD" and used:  # a group is strict within itself only
            selectors = [{NODE_ID: f"!in({','.join(used)})"} for _ in range(outpost.group_size)]
        return self._ray.util.placement_group(
            [bundle for _ in range(outpost.group_size)],
            strategy=outpost.spread,
            name=name,
            lifetime="detached",
            bundle_label_selector=selectors,
        )

    def _remove_groups(self, kept: Iterable[str]) -> None:
        """Remove the placement groups whose nodes are all gone, so that their claims end."""
        prefix, names = f"{self._begin.owner}-", set(kept)
        for group in self._ray.util.placement_group_table().values():
            name = group["name"]
            if name.startswith(prefix) and name.removeprefix(prefix) not in names and group["state"] != "REMOVED":
                self._ray.util.remove_placement_group(self._ray.util.get_placement_group(name))

    def _leaving_machines(self) -> Mapping[str, int]:
        """Return the machines of which Ray has announced that they go."""
        from ray._private.state import state

        return dict(state.get_draining_nodes())


def main() -> None:
    """Serve the host at descriptor 3 until it ends."""
    hardening.make_undumpable()
    hardening.set_name("gr-ray")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="gr-ray: %(message)s")
    with socket.socket(fileno=CONTROL) as control:
        begin = read_to_ray(control.recv(DATAGRAM))
        assert isinstance(begin, Begin), "the host says first where the cluster is"
        try:
            _serve(control, Cluster(begin), begin)
        except Exception as error:  # whatever Ray raises: the host tells the user, and tries again
            with contextlib.suppress(OSError):
                control.send(encode_datagram(Seen(is_connected=False, error=f"{type(error).__name__}: {error}"[:500])))
            os._exit(1)
    os._exit(0)  # without Ray's own exit handlers, which may wait for a head that is gone


def _serve(control: socket.socket, cluster: Cluster, begin: Begin) -> None:
    wanted: Wanted | None = None
    settled = time.monotonic() + SETTLE
    while True:
        if wanted is not None:
            cluster.follow(wanted)
        outposts = cluster.look()
        is_settled = wanted is not None or not cluster.unknown or time.monotonic() >= settled
        if is_settled:
            control.send(encode_datagram(Seen(is_connected=True, outposts=outposts)))
        until = time.monotonic() + LOOK
        while (left := until - time.monotonic()) > 0 and select.select([control], [], [], left)[0]:
            data = control.recv(DATAGRAM)
            message = read_to_ray(data) if data else Finish()
            if isinstance(message, Finish):
                if not begin.detached:
                    cluster.end_all()
                return
            if isinstance(message, Wanted):
                wanted = message
