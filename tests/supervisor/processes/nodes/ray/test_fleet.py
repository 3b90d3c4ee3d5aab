"""Which nodes there are to be in a cluster: the minimum, one for what is waited for, and none for nothing."""

from collections.abc import Mapping, Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.tables.ray_nodes import RayTable
from greenroom.protocol.internal.outpost import Outpost, OutpostState, Seen, SeenOutpost
from greenroom.runtime.restart import Backoff, Delays
from greenroom.supervisor.processes.nodes.membership import NodeState
from greenroom.supervisor.processes.nodes.ray.fleet import Fleet, NodeSight
from greenroom.supervisor.processes.nodes.wish import Needs

BOX: Needs = (("gpu_box", 1.0),)
DELAYS = Delays((2.0, 4.0), healthy_after=60.0, jitter=0.0)


class Cluster:
    """A cluster that does at once what it is asked for, and a host that all nodes join."""

    def __init__(self, **table: object) -> None:
        numbers = count()
        self.fleet = Fleet(RayTable(**table), token=lambda: str(next(numbers)), backoff=Backoff(DELAYS))  # type: ignore[arg-type]
        self.outposts: dict[str, SeenOutpost] = {}
        self.nodes: dict[str, NodeSight] = {}
        self.now = 0.0
        self.drained: list[str] = []
        self.forgotten: list[str] = []

    def decide(self, waiting: Sequence[Needs] = (), *, overflow: bool = False, connected: bool = True) -> list[str]:
        """Decide, let the cluster follow, and return the names of the nodes that there are to be."""
        seen = Seen(is_connected=connected, outposts=tuple(self.outposts.values()))
        decision = self.fleet.decide(seen, self.nodes, waiting, overflow=overflow, now=self.now)
        self.drained += decision.drain
        self.forgotten += decision.forget
        for name in decision.forget:
            self.nodes.pop(name, None)
        wanted = {outpost.name: outpost for outpost in self.fleet.wanted}
        self.outposts = {name: one for name, one in self.outposts.items() if name in wanted}
        for name, outpost in wanted.items():
            self.outposts.setdefault(name, SeenOutpost(outpost, "pending"))
        return sorted(wanted)

    def join(self, *names: str, busy: int = 0, capacity: int = 2, state: NodeState = "ready") -> None:
        for name in names:
            self.outposts[name] = SeenOutpost(self.outposts[name].outpost, "running", "key", f"machine of {name}")
            self.nodes[name] = NodeSight(state, capacity, busy)

    def tell(self, name: str, state: OutpostState = "running", *, leaving: bool = False) -> None:
        self.outposts[name] = SeenOutpost(self.outposts[name].outpost, state, "key", "m", leaving)


def test_the_minimum_is_asked_for_together_and_nothing_beyond_it() -> None:
    cluster = Cluster(min_nodes=2, max_nodes=4, num_cpus=2.0, memory_mb=64, resources={"rack": 1.0})
    assert cluster.decide() == ["ray-1", "ray-2"]
    first, second = cluster.fleet.wanted
    assert first == Outpost("ray-1", 2.0, 64 << 20, {"rack": 1.0}, "ray-1-0", group_size=2, bundle=0)
    assert second == Outpost("ray-2", 2.0, 64 << 20, {"rack": 1.0}, "ray-1-0", group_size=2, bundle=1)
    cluster.join("ray-1", "ray-2")
    assert cluster.decide() == ["ray-1", "ray-2"]


def test_nothing_is_decided_while_the_cluster_cannot_be_seen() -> None:
    cluster = Cluster(min_nodes=1, max_nodes=2)
    assert cluster.decide(connected=False) == []
    cluster.decide()
    cluster.join("ray-1")
    cluster.outposts.clear()
    assert cluster.decide([BOX], overflow=True, connected=False) == ["ray-1"]


@pytest.mark.parametrize(
    ("busy", "overflow", "more"),
    [(1, False, []), (2, False, ["ray-2"]), (2, True, ["ray-2"]), (1, True, [])],
)
def test_one_more_is_asked_for_where_all_are_full(busy: int, overflow: bool, more: list[str]) -> None:
    cluster = Cluster(min_nodes=1, max_nodes=3)
    cluster.decide()
    cluster.join("ray-1", busy=busy)
    assert cluster.decide(overflow=overflow) == ["ray-1", *more]
    assert cluster.decide(overflow=overflow) == ["ray-1", *more], "the next one only once that has joined"


def test_without_a_minimum_the_first_is_asked_for_when_there_is_no_room() -> None:
    cluster = Cluster(min_nodes=0, max_nodes=1)
    assert cluster.decide() == []
    assert cluster.decide(overflow=True) == ["ray-1"]


def test_each_that_waits_for_resources_gets_a_node_that_claims_them_up_to_the_maximum() -> None:
    cluster = Cluster(min_nodes=1, max_nodes=3, spread="none")
    cluster.decide()
    cluster.join("ray-1")
    assert cluster.fleet.can_have(BOX)
    assert cluster.decide([BOX, BOX, BOX]) == ["ray-1", "ray-2", "ray-3"]
    assert cluster.fleet.resources_of("ray-2") == {"CPU": 1.0, "gpu_box": 1.0}
    assert cluster.decide([BOX, BOX, BOX]) == ["ray-1", "ray-2", "ray-3"]
    assert cluster.fleet.can_have(BOX), "one comes"
    assert not cluster.fleet.can_have((("gpu_box", 2.0),)), "and no other may be asked for"


def test_a_node_that_is_no_longer_needed_is_removed() -> None:
    cluster = Cluster(min_nodes=1, max_nodes=2, idle_s=10.0)
    cluster.decide()
    cluster.join("ray-1")
    cluster.decide([BOX])
    cluster.now = 100.0
    assert cluster.decide([BOX]) == ["ray-1", "ray-2"], "it is waited for, however long the cluster takes"
    cluster.now = 111.0
    assert cluster.decide() == ["ray-1"]
    assert cluster.forgotten == ["ray-2"]


def test_what_is_on_its_way_because_all_are_full_is_not_taken_back() -> None:
    cluster = Cluster(min_nodes=1, max_nodes=2, idle_s=5.0)
    cluster.decide()
    cluster.join("ray-1", busy=2)
    assert cluster.decide(overflow=True) == ["ray-1", "ray-2"]
    group = cluster.fleet.wanted[1].group
    for cluster.now in (1.0, 6.0, 12.0, 100.0):  # a machine may take long to come
        assert cluster.decide() == ["ray-1", "ray-2"]
        assert cluster.fleet.wanted[1].group == group, "the same claim all the time"
    cluster.join("ray-1", busy=1)
    assert cluster.decide() == ["ray-1"], "there is room again"


def test_an_idle_node_above_the_minimum_is_drained_and_then_removed() -> None:
    cluster = Cluster(min_nodes=1, max_nodes=2, idle_s=10.0)
    cluster.decide()
    cluster.join("ray-1", busy=2)
    cluster.decide()
    cluster.join("ray-2", busy=1)
    cluster.now = 20.0
    cluster.decide()
    cluster.join("ray-2")
    cluster.decide()
    cluster.now = 29.0
    cluster.decide()
    assert cluster.drained == []
    cluster.now = 30.0
    cluster.decide()
    assert cluster.drained == [], "the other one is full"
    cluster.join("ray-1", busy=1)
    assert cluster.decide() == ["ray-1", "ray-2"], "it is there until it has left"
    assert cluster.drained == ["ray-2"]
    cluster.join("ray-2", state="lost")
    assert cluster.decide() == ["ray-1"]
    assert cluster.forgotten == ["ray-2"]


def test_a_node_whose_machine_goes_is_drained_and_replaced_at_once() -> None:
    cluster = Cluster(min_nodes=1, max_nodes=1)
    cluster.decide()
    cluster.join("ray-1", busy=2)
    cluster.tell("ray-1", leaving=True)
    assert cluster.decide() == ["ray-1", "ray-2"]
    assert cluster.drained == ["ray-1"]


def test_one_that_ray_has_given_up_is_replaced_after_a_growing_delay() -> None:
    cluster = Cluster(min_nodes=1, max_nodes=1)
    cluster.decide()
    for delay in (2.0, 4.0, 4.0):
        (name,) = cluster.decide()
        cluster.join(name)
        cluster.tell(name, "gone")
        began = cluster.now
        assert cluster.decide() == []
        cluster.now = began + delay - 0.5
        assert cluster.decide() == []
        cluster.now = began + delay
        assert len(cluster.decide()) == 1
    assert len(cluster.forgotten) == 3


def test_one_that_replaces_another_has_its_part_of_the_claim_which_ray_keeps_for_the_group() -> None:
    cluster = Cluster(min_nodes=3, max_nodes=4)
    cluster.decide()
    cluster.join("ray-1", "ray-2", "ray-3", busy=1)
    for name in ("ray-1", "ray-3"):
        cluster.tell(name, "gone")
    cluster.decide()
    cluster.now = 10.0
    cluster.decide()
    parts = {outpost.name: (outpost.group, outpost.group_size, outpost.bundle) for outpost in cluster.fleet.wanted}
    assert sorted(parts.values()) == [("ray-1-0", 3, 0), ("ray-1-0", 3, 1), ("ray-1-0", 3, 2)]
    assert parts["ray-2"] == ("ray-1-0", 3, 1), "as before"


@pytest.mark.parametrize("leaving", [False, True])
def test_nothing_is_started_in_the_part_of_a_machine_that_goes(leaving: bool) -> None:
    cluster = Cluster(min_nodes=2, max_nodes=2)
    cluster.decide()
    cluster.join("ray-1", "ray-2")
    if leaving:
        cluster.tell("ray-1", leaving=True)
        cluster.decide()  # another is asked for at once
        cluster.nodes["ray-1"] = NodeSight("lost")
        cluster.decide()
        (fresh,) = (one.name for one in cluster.fleet.wanted if one.name != "ray-2")
        cluster.tell(fresh, "gone")
    else:
        cluster.tell("ray-1", "gone")
    cluster.decide()
    cluster.now = 10.0
    cluster.decide()
    (replacing,) = (one for one in cluster.fleet.wanted if one.name != "ray-2")
    assert (replacing.group != "ray-1-0") == leaving


def test_one_that_needs_more_has_no_part_of_another_claim() -> None:
    cluster = Cluster(min_nodes=2, max_nodes=3)
    cluster.decide()
    cluster.join("ray-1", "ray-2")
    cluster.tell("ray-1", "gone")
    cluster.decide()
    cluster.now = 10.0
    cluster.decide([BOX])
    claims = {outpost.group: outpost.resources for outpost in cluster.fleet.wanted}
    assert list(claims.values()) == [{}, {"gpu_box": 1.0}]
    assert [outpost.group for outpost in cluster.fleet.wanted].count("ray-1-0") == 2


def test_the_nodes_of_a_former_host_are_taken_over_and_what_was_given_up_is_not() -> None:
    cluster = Cluster(min_nodes=1, max_nodes=2)
    cluster.outposts["ray-7"] = SeenOutpost(Outpost("ray-7", resources={"gpu_box": 1.0}), "running", "key", "m")
    assert cluster.decide([BOX]) == ["ray-7"]
    dropped = SeenOutpost(cluster.fleet.wanted[0], "running", "key", "m", is_leaving=True)
    cluster.outposts = {"ray-7": dropped}
    cluster.decide()
    cluster.outposts["ray-7"] = dropped  # `gr-ray` has not followed yet
    assert cluster.decide() == ["ray-1"]


@pytest.mark.parametrize(
    ("spread", "words"),
    [
        ("SPREAD", "claims CPU=1, gpu_box=2, or not for all 2 of its group, which it places together"),
        ("STRICT_SPREAD", "on a machine without another node (STRICT_SPREAD), or not for all 2 of its group"),
        ("none", "Ray has no place for it, which claims CPU=1, gpu_box=2"),
    ],
)
def test_one_that_ray_has_no_place_for_is_told_once_and_shown_all_the_time(spread: str, words: str) -> None:
    cluster = Cluster(min_nodes=2, max_nodes=2, spread=spread, resources={"gpu_box": 2.0})
    cluster.decide()
    cluster.join("ray-1")
    cluster.now = 59.0
    cluster.decide()
    assert cluster.fleet.pending(59.0) == {"ray-2": "asked of Ray 59 s ago"}
    assert cluster.fleet.newly_unplaced(59.0) == {}
    (told,) = cluster.fleet.newly_unplaced(60.0).items()
    assert told[0] == "ray-2"
    assert told[1].startswith("asked of Ray 60 s ago; Ray has no place for it")
    assert words in told[1]
    assert cluster.fleet.newly_unplaced(61.0) == {}
    assert words in cluster.fleet.pending(90.0)["ray-2"]
    cluster.join("ray-2")
    cluster.decide()
    assert cluster.fleet.pending(91.0) == {}
    cluster.tell("ray-2", "pending")  # it is started again, and finds no place
    cluster.now = 100.0
    cluster.decide()
    assert cluster.fleet.newly_unplaced(100.0) == {}
    assert list(cluster.fleet.newly_unplaced(160.0)) == ["ray-2"], "once more"


class Named:
    """Names of the nodes that were there at any time, for random events."""

    def of(self, cluster: Cluster, number: int) -> str | None:
        names = sorted(cluster.outposts)
        return names[number % len(names)] if names else None


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("join", "fill", "empty", "lose", "gone", "leaving", "wait", "overflow", "cut", "time")),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(EVENTS, st.integers(0, 3), st.integers(0, 3))
def test_whatever_happens_the_bounds_hold_and_nothing_with_work_goes(
    events: Sequence[tuple[str, int]], low: int, more: int
) -> None:
    cluster = Cluster(min_nodes=low, max_nodes=max(low + more, 1), idle_s=5.0)
    leaving: set[str] = set()
    for event, number in events:
        name = Named().of(cluster, number)
        before: Mapping[str, NodeSight] = dict(cluster.nodes)
        drained = len(cluster.drained)
        waiting = [BOX] * number if event == "wait" else []
        if name is not None:
            match event:
                case "join" | "empty":
                    cluster.join(name)
                case "fill":
                    cluster.join(name, busy=2)
                case "lose" if name in cluster.nodes:
                    cluster.nodes[name] = NodeSight("lost")
                case "gone":
                    cluster.tell(name, "gone")
                case "leaving":
                    cluster.tell(name, leaving=True)
                    leaving.add(name)
        cluster.now += number if event == "time" else 0.1
        wanted = cluster.decide(waiting, overflow=event == "overflow", connected=event != "cut")
        active = [one.outpost.name for one in cluster.fleet._active]
        assert len(active) <= cluster.fleet.table.max_nodes
        assert len(set(wanted)) == len(wanted)
        parts = [(one.group, one.bundle) for one in cluster.fleet.wanted if one.group]
        assert len(set(parts)) == len(parts), "each has its own"
        if event != "cut" and cluster.now >= cluster.fleet._held_until:
            assert len(active) >= low
        for drained_name in cluster.drained[drained:]:
            assert drained_name in leaving or before[drained_name].busy == 0
            assert drained_name in wanted, "it is there until it has left"
