"""A node as its host knows it: states, leases, and what a node that joins again still has."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import LocalProtocolError
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.node import LEASE_AT_HOST, Join, NodeLoad
from greenroom.protocol.internal.process import Exited, KeyPair, Spawned, WorkerSpec
from greenroom.supervisor.processes.nodes.membership import (
    LONGEST,
    MEANINGS,
    MOST_WORKERS,
    TRANSITIONS,
    Membership,
    NodeEvent,
    NodeState,
    next_node_state,
    of_node,
    overdue_nodes,
)

ONE, TWO, THREE = (WorkerId(name) for name in ("w-1", "w-2", "w-3"))


def spec(worker_id: WorkerId) -> WorkerSpec:
    """Return the specification of a worker."""
    return WorkerSpec(
        id=worker_id,
        keys=KeyPair(public="", secret=""),
        supervisor_pid=0,
        codex_home="",
        runtime_directory="",
        log_level="warning",
        mailbox_address="",
        mailbox_key="",
        events_path="",
        events_ticket=b"",
        broker_address="",
        broker_key="",
    )


def join(run: str = "run-1", exits: tuple[Exited, ...] = (), **workers: int) -> Join:
    living = {WorkerId(name.replace("_", "-")): pid for name, pid in workers.items()}
    return Join(version="1", run=run, capacity=4, workers=living, exits=exits)


def member(*workers: WorkerId, pids: bool = True) -> Membership:
    """Return a node that has joined at 0 s and has these workers."""
    found = Membership("n1")
    found.joined(join(), 0.0)
    for number, worker_id in enumerate(workers, 100):
        found.enter(spec(worker_id))
        if pids:
            assert found.spawned(Spawned(id=worker_id, pid=number))
    return found


def test_every_state_is_explained_and_can_be_reached() -> None:
    assert set(MEANINGS) == set(get_args(NodeState))
    reached: set[NodeState] = {"absent"}
    for _ in MEANINGS:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(MEANINGS)


def test_what_cannot_happen_is_an_error() -> None:
    for state in get_args(NodeState):
        for event in get_args(NodeEvent):
            if (state, event) not in TRANSITIONS:
                with pytest.raises(LocalProtocolError):
                    next_node_state(state, event)


def test_a_lease_is_over_after_silence_and_all_workers_have_ended_with_it() -> None:
    node = member(ONE, TWO)
    node.heard(1.0)
    assert not list(overdue_nodes({"n1": node}, 1.0 + LEASE_AT_HOST - 0.01))
    assert list(overdue_nodes({"n1": node}, 1.0 + LEASE_AT_HOST)) == [node]
    ended = node.give_up()
    assert {(one.id, one.cause, one.node) for one in ended} == {(ONE, "node_lost", "n1"), (TWO, "node_lost", "n1")}
    assert node.state == "lost"
    assert not node.workers
    assert not node.is_overdue(99.0), "and that is told once"


def test_a_node_that_joins_again_in_time_keeps_its_workers() -> None:
    node = member(ONE, TWO)
    node.happen("link_lost")
    result = node.joined(join(w_1=100, w_2=101), 1.0)
    assert (result.resend, result.end, result.ended) == ((), (), ())
    assert node.state == "ready"
    assert set(node.workers) == {ONE, TWO}


def test_orders_that_were_lost_with_the_link_are_sent_again() -> None:
    node = member(ONE, pids=False)
    assert node.joined(join(), 1.0).resend == (spec(ONE),)
    assert node.joined(join(w_1=7), 2.0).resend == ()
    assert node.workers[ONE].pid == 7


def test_ends_that_were_lost_with_the_link_are_told_once() -> None:
    node = member(ONE, TWO)
    exited = Exited(id=ONE, pid=100, returncode=-11, max_rss=5)
    (first, vanished) = node.joined(join(exits=(exited,)), 1.0).ended
    assert (first.id, first.returncode, first.node) == (ONE, -11, "n1")
    assert (vanished.id, vanished.cause) == (TWO, "node_lost"), "the node has neither it nor its end"
    assert node.joined(join(exits=(exited,)), 2.0).ended == ()
    assert node.exited(exited) is None


def test_after_its_lease_a_node_has_to_end_what_it_still_has() -> None:
    node = member(ONE)
    node.give_up()
    result = node.joined(join(w_1=100), 9.0)
    assert result.end == (ONE,)
    assert result.ended == (), "its end was told when the lease was over"
    assert node.state == "ready"


def test_another_run_of_the_process_has_none_of_the_workers() -> None:
    node = member(ONE)
    result = node.joined(join("run-2"), 0.5)
    assert [(one.id, one.cause) for one in result.ended] == [(ONE, "node_lost")]


def test_a_worker_that_was_given_up_and_appears_is_to_be_ended() -> None:
    node = member(ONE, pids=False)
    assert node.drop(ONE) is not None
    assert not node.spawned(Spawned(id=ONE, pid=3))
    assert node.drop(ONE) is None


@given(st.lists(st.sampled_from(["cut", "join", "other run", "lease", "spawn", "exit"]), max_size=30))
def test_the_end_of_each_worker_is_told_exactly_once(happenings: list[str]) -> None:
    node, told, entered, run, number = member(), list[WorkerId](), list[WorkerId](), 1, 0
    for happening in happenings:
        living = {name: worker.pid for name, worker in node.workers.items() if worker.pid is not None}
        if happening == "spawn" and node.state == "ready":
            number += 1
            entered.append(WorkerId(f"w-{number}"))
            node.enter(spec(entered[-1]))
            node.spawned(Spawned(id=entered[-1], pid=number))
        elif happening == "exit" and living:
            name = next(iter(living))
            told += [one.id for one in [node.exited(Exited(id=name, pid=1, returncode=0, max_rss=0))] if one]
        elif happening == "cut" and node.state == "ready":
            node.happen("link_lost")
        elif happening == "lease" and node.is_member:
            told += [one.id for one in node.give_up()]
        elif happening in ("join", "other run"):
            run += happening == "other run"
            has = {} if happening == "other run" else living
            told += [
                one.id for one in node.joined(Join(version="1", run=f"run-{run}", capacity=1, workers=has), 0.0).ended
            ]
    assert sorted([*told, *node.workers]) == sorted(entered)


def test_an_order_to_kill_stands_until_the_worker_has_ended() -> None:
    node = member(ONE, TWO)
    node.enter(spec(THREE))
    node.doom(ONE, "too much memory")
    node.doom(ONE, "again")
    node.doom(THREE, "")
    node.doom(WorkerId("w-9"), "unknown")
    node.happen("link_lost")
    again = node.joined(join(w_1=100, w_2=101), 1.0)
    assert again.kill == ((ONE, "too much memory"), (THREE, ""))
    assert again.resend == (spec(THREE),), "or else its end would never be told"
    assert node.exited(Exited(id=ONE, pid=100, returncode=-9, max_rss=0)) is not None
    assert node.joined(join(w_2=101), 2.0).kill == ((THREE, ""),)
    assert node.joined(join("run-2"), 3.0).kill == ()


def test_what_a_node_says_is_words_and_figures() -> None:
    """It ends up in logs, on terminals and in reports of everything else."""
    node = Membership("n1")
    evil = "\x1b]0;owned\x07" + "x" * 5000
    node.joined(Join(version=evil, run="r", capacity=10**30, sandbox=evil), 1.0)
    assert node.capacity == MOST_WORKERS
    for text in (node.version, node.sandbox):
        assert text.isprintable()
        assert len(text) <= LONGEST
    node.measured(0.5, NodeLoad(memory=7))
    for value in (math.nan, math.inf, -1.0, 2.0**80):
        node.measured(value, NodeLoad(load=value))
    node.measured(None, NodeLoad(memory=-1))
    assert (node.round_trip, node.load) == (0.5, NodeLoad(memory=7))
    node.joined(Join(version="1", run="r", capacity=-5), 2.0)
    assert node.capacity == 0
    told = of_node(Exited(id=ONE, pid=7, returncode=1, max_rss=0, start_error=evil, cause=evil), "n1")
    for found in (told.start_error, told.cause):
        assert found is not None
        assert found.isprintable()
