"""Which nodes there are to be in a Ray cluster, and which of them go. Free of I/O; times are of one monotonic clock."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from greenroom.config.tables.nodes import RAY_PREFIX
from greenroom.config.tables.ray_nodes import RayTable
from greenroom.protocol.ids import uuid7
from greenroom.protocol.internal.outpost import Outpost, Seen
from greenroom.runtime.restart import Backoff, Delays
from greenroom.supervisor.processes.nodes.membership import NodeState
from greenroom.supervisor.processes.nodes.wish import Needs

REPLACEMENT: Final = Delays((1.0, 2.0, 5.0, 15.0, 60.0), healthy_after=120.0)
"""Before a node is asked for in place of one that Ray has given up."""
UNPLACED: Final = 60.0
"""Seconds after which a node that Ray has not had run is told as one that it has no place for."""
CPU: Final = "CPU"
"""What Ray calls processors."""
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class NodeSight:
    """A node that Ray has started, as the host has it."""

    state: NodeState
    capacity: int = 0
    busy: int = 0
    """Workers with a conversation, and those that are ordered for one."""


@dataclass(frozen=True, slots=True)
class FleetDecision:
    """What is to be done now."""

    drain: tuple[str, ...] = ()
    """Nodes to be drained."""
    forget: tuple[str, ...] = ()
    """Nodes that there are not any more, whose keys count no longer."""


@dataclass(slots=True)
class _Member:
    outpost: Outpost
    is_retiring: bool = False
    pending_since: float | None = None
    """Since when Ray has not had it run; `None` while it runs."""
    is_told: bool = False
    """Whether it was told that Ray has no place for it."""
    idle_since: float | None = None


@dataclass(slots=True)
class Fleet:
    """The nodes that there are to be. Nothing is decided before the cluster was seen, or while it is out of reach."""

    table: RayTable
    token: Callable[[], str] = uuid7
    """Returns what no group of nodes has been named with."""
    backoff: Backoff = field(default_factory=lambda: Backoff(REPLACEMENT))
    _members: dict[str, _Member] = field(default_factory=dict)
    _present: set[str] = field(default_factory=set)
    """Names of the nodes that the cluster has, or tells of as gone."""
    _dropped: set[str] = field(default_factory=set)
    """Names of those that were given up here, as long as the cluster has them."""
    _leaving_parts: set[tuple[str, int]] = field(default_factory=set)
    """Parts of groups whose machines go, so that nothing is started there."""
    _overflow: bool = False
    _held_until: float = 0.0

    @property
    def wanted(self) -> tuple[Outpost, ...]:
        """The nodes that there are to be, those that are being drained included."""
        return tuple(member.outpost for member in self._members.values())

    def resources_of(self, name: str) -> Mapping[str, float]:
        """Return what a node has claimed, by the names of Ray."""
        member = self._members.get(name)
        return {} if member is None else {CPU: member.outpost.cpus, **member.outpost.resources}

    def can_have(self, needs: Needs) -> bool:
        """Tell whether a node with these resources is there, asked for, or could be asked for."""
        return any(self._covers(one, needs) for one in self._active) or len(self._active) < self.table.max_nodes

    def decide(
        self, seen: Seen, nodes: Mapping[str, NodeSight], waiting: Sequence[Needs], *, overflow: bool, now: float
    ) -> FleetDecision:
        """Bring the nodes that there are to be up to date, and return what follows.

        `waiting`: what conversations wait for that no node has free. `overflow`: whether a conversation has found no
        room on a node.
        """
        if not seen.is_connected:
            return FleetDecision()
        self._overflow |= overflow
        self._adopt(seen)
        gone = self._drop_gone(seen, nodes, now)
        leaving = {one.outpost.name for one in seen.outposts if one.is_leaving}
        drain = [name for name in leaving if self._retire(name)]
        self._leaving_parts.update(_part_of(self._members[name].outpost) for name in drain)
        if now >= self._held_until:
            self._ask_for_minimum()
            self._ask_for(waiting, nodes)
            self._ask_for_room(nodes)
        drain += self._retire_idle(nodes, waiting, now)
        gone += self._drop_without_node(drain, nodes)
        self._note_pending(seen, now)
        return FleetDecision(tuple(sorted(set(drain) - set(gone))), tuple(sorted(gone)))

    def pending(self, now: float) -> dict[str, str]:
        """Return the nodes that Ray does not have running, each with since when, and its claim where that is long."""
        found: dict[str, str] = {}
        for name, one in self._members.items():
            if one.pending_since is not None:
                found[name] = f"asked of Ray {now - one.pending_since:.0f} s ago"
                if now - one.pending_since >= UNPLACED:
                    found[name] += f"; {_claim_in_words(one)}"
        return found

    def newly_unplaced(self, now: float) -> dict[str, str]:
        """Return those of them that Ray has had no place for all the time, each once."""
        told = self.pending(now)
        found: dict[str, str] = {}
        for name, one in self._members.items():
            is_unplaced = one.pending_since is not None and now - one.pending_since >= UNPLACED
            if is_unplaced and not one.is_told:
                found[name] = told[name]
            one.is_told = is_unplaced
        return found

    def _note_pending(self, seen: Seen, now: float) -> None:
        running = {one.outpost.name for one in seen.outposts if one.state == "running"}
        for name, member in self._members.items():
            if name in running:
                member.pending_since = None
            elif member.pending_since is None:
                member.pending_since = now

    @property
    def _active(self) -> list[_Member]:
        return [member for member in self._members.values() if not member.is_retiring]

    def _adopt(self, seen: Seen) -> None:
        """Take nodes over that a former host has asked for."""
        self._present = {one.outpost.name for one in seen.outposts}
        self._dropped &= self._present
        for one in seen.outposts:
            name = one.outpost.name
            if name not in self._members and name not in self._dropped and one.state != "gone":
                self._members[name] = _Member(one.outpost)

    def _drop(self, name: str) -> _Member:
        self._dropped.add(name)
        return self._members.pop(name)

    def _drop_gone(self, seen: Seen, nodes: Mapping[str, NodeSight], now: float) -> list[str]:
        gone = [one.outpost.name for one in seen.outposts if one.state == "gone" and one.outpost.name in self._members]
        for name in gone:
            member = self._drop(name)
            if not member.is_retiring:
                self._held_until = now + self.backoff.on_death(now)
        left = [
            name
            for name, one in self._members.items()
            if one.is_retiring and _has_left(nodes.get(name)) and name in nodes
        ]
        for name in left:
            self._drop(name)
        return gone + left

    def _drop_without_node(self, drained: Iterable[str], nodes: Mapping[str, NodeSight]) -> list[str]:
        """Drop those that are to be drained and have not joined: there is nothing to drain."""
        found = [name for name in drained if _has_left(nodes.get(name))]
        for name in found:
            self._drop(name)
        return found

    def _retire(self, name: str) -> bool:
        member = self._members.get(name)
        if member is None or member.is_retiring:
            return False
        member.is_retiring = True
        return True

    def _retire_idle(self, nodes: Mapping[str, NodeSight], waiting: Sequence[Needs], now: float) -> list[str]:
        """Retire nodes above the minimum that have had nothing to do for long, the last ones first.

        So have those that nobody waits for any more and that the cluster has had no place for.
        """
        for name, member in self._members.items():
            node = nodes.get(name)
            is_idle = _has_left(node) or (node is not None and node.state == "ready" and node.busy == 0)
            member.idle_since = None if not is_idle else now if member.idle_since is None else member.idle_since
        idle = [
            member
            for member in self._active[::-1]
            if member.idle_since is not None
            and now - member.idle_since >= self.table.idle_s
            and not any(self._covers(member, needs) for needs in waiting)
        ]
        absent = [one for one in self._active if _has_left(nodes.get(one.outpost.name))]
        coming = self._coming_for_room(absent, nodes)
        unplaced = [one for one in idle if one in absent and one is not coming][
            : max(len(self._active) - self.table.min_nodes, 0)
        ]
        retired = [one.outpost.name for one in unplaced if self._retire(one.outpost.name)]
        for one in (one for one in idle if one not in absent):
            rest = [nodes[other.outpost.name] for other in self._active if other not in (*absent, one)]
            is_full = rest and all(sight.busy >= sight.capacity for sight in rest)  # another one would be asked for
            if len(rest) >= self.table.min_nodes and not is_full and self._retire(one.outpost.name):
                retired.append(one.outpost.name)
        return retired

    def _coming_for_room(self, absent: Sequence[_Member], nodes: Mapping[str, NodeSight]) -> _Member | None:
        """Return the one that is asked for since all others are full: without it, it would be asked for again."""
        joined = [nodes[one.outpost.name] for one in self._active if one not in absent]
        if not joined or any(_may_have_room(sight) for sight in joined):
            return None
        usual = _claims_of(_claiming(self.table, "", {}))
        return next((one for one in absent if _claims_of(one.outpost) == usual), None)

    def _ask_for_minimum(self) -> None:
        missing = self.table.min_nodes - len(self._active)
        if missing > 0:
            self._ask([{} for _ in range(missing)])

    def _ask_for(self, waiting: Sequence[Needs], nodes: Mapping[str, NodeSight]) -> None:
        """Ask for a node for each conversation that waits for resources, beyond those that are coming."""
        coming = [one for one in self._active if _has_left(nodes.get(one.outpost.name))]
        for needs in waiting:
            match = next((one for one in coming if self._covers(one, needs)), None)
            if match is not None:
                coming.remove(match)
            elif len(self._active) < self.table.max_nodes:
                self._ask([dict(needs)])

    def _ask_for_room(self, nodes: Mapping[str, NodeSight]) -> None:
        """Ask for one more node where all that there are have no room, and none is on its way."""
        active, overflow, self._overflow = self._active, self._overflow, False
        usual = _claims_of(_claiming(self.table, "", {}))
        sights = [(one.outpost, nodes.get(one.outpost.name)) for one in active]
        is_coming = any(_has_left(sight) and _claims_of(one) == usual for one, sight in sights)
        joined = [sight for _, sight in sights if sight is not None and not _has_left(sight)]
        may_have_room = any(map(_may_have_room, joined))
        if (joined or overflow) and not is_coming and not may_have_room and len(active) < self.table.max_nodes:
            self._ask([{}])

    def _ask(self, more: Sequence[Mapping[str, float]]) -> None:
        """Ask for nodes, each with more resources than all have.

        They get the parts of groups that nodes have left: Ray keeps the claim of a group as long as one of its nodes is
        there, so it may have no place for another one.
        """
        names = _free_names(self._members.keys() | self._present | self._dropped, len(more))
        asked = [_claiming(self.table, name, resources) for name, resources in zip(names, more, strict=True)]
        left = self._left_parts()
        fresh: list[Outpost] = []
        for outpost in asked:
            part = next((one for one in left if _claims_of(one) == _claims_of(outpost)), None)
            if part is None:
                fresh.append(outpost)
            else:
                left.remove(part)
                self._members[outpost.name] = _Member(msgspec.structs.replace(part, name=outpost.name))
        group = "" if self.table.spread == "none" else f"{names[0]}-{self.token()}"
        grouped = [one for one in fresh if group and any(_claims_of(one))]  # Ray has no group for no claim
        size = len(grouped)
        self._members.update({one.name: _Member(one) for one in fresh if one not in grouped})
        for bundle, one in enumerate(grouped):
            placed = msgspec.structs.replace(one, group=group, group_size=size, bundle=bundle)
            self._members[one.name] = _Member(placed)

    def _left_parts(self) -> list[Outpost]:
        """Return the parts of groups that no node has, each as a node that would have it, whose name says nothing."""
        groups = {one.outpost.group: one.outpost for one in self._members.values() if one.outpost.group}
        self._leaving_parts = {part for part in self._leaving_parts if part[0] in groups}
        taken = {_part_of(one.outpost) for one in self._members.values()} | self._leaving_parts
        return [
            msgspec.structs.replace(one, bundle=number)
            for group, one in groups.items()
            for number in range(one.group_size)
            if (group, number) not in taken
        ]

    def _covers(self, member: _Member, needs: Needs) -> bool:
        has = self.resources_of(member.outpost.name)
        return all(has.get(name, 0.0) >= amount for name, amount in needs)


def _claiming(table: RayTable, name: str, more: Mapping[str, float]) -> Outpost:
    """Return a node with the resources that all have, and at least these."""
    custom = {**table.resources}
    for key, amount in more.items():
        if key != CPU:
            custom[key] = max(amount, custom.get(key, 0.0))
    cpus = max(table.num_cpus, more.get(CPU, 0.0))
    return Outpost(name, cpus, table.memory_mb * MIB, custom, spread=table.spread)


def _has_left(node: NodeSight | None) -> bool:
    """Tell whether a node has not joined, or has left."""
    return node is None or node.state in ("absent", "lost")


def _may_have_room(node: NodeSight) -> bool:
    """Tell whether one that has joined takes another conversation, now or once its link is back."""
    return node.state == "away" or (node.state == "ready" and node.busy < node.capacity)


def _claims_of(outpost: Outpost) -> tuple[float, int, Mapping[str, float]]:
    return outpost.cpus, outpost.memory, outpost.resources


def _claim_in_words(member: _Member) -> str:
    """Return what Ray may have no place for."""
    one = member.outpost
    claims = {CPU: one.cpus, "memory": one.memory / MIB, **one.resources}
    told = ", ".join(f"{name}={amount:g}" for name, amount in claims.items() if amount)
    words = f"Ray has no place for it, which claims {told or 'nothing'}"
    if one.spread == "STRICT_SPREAD":
        words += " on a machine without another node (STRICT_SPREAD)"
    if one.group_size > 1:
        words += f", or not for all {one.group_size} of its group, which it places together"
    return words


def _part_of(outpost: Outpost) -> tuple[str, int]:
    """Return the group of a node, and which part of it the node has."""
    return outpost.group, outpost.bundle


def _free_names(taken: Container[str], count: int) -> list[str]:
    found: list[str] = []
    number = 1
    while len(found) < count:
        if (name := f"{RAY_PREFIX}{number}") not in taken:
            found.append(name)
        number += 1
    return found
