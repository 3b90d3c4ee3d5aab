"""A node does what it is told once, and answers for every end until its host has confirmed it."""

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import Exited, Spawned
from greenroom.supervisor.node.ledger import WorkerLedger

ONE = WorkerId("w-1")
DEAD = Exited(id=ONE, pid=7, returncode=-9, max_rss=1)


def test_an_order_that_comes_twice_starts_one_worker() -> None:
    ledger = WorkerLedger({ONE: 7}.get)
    assert ledger.order(ONE)
    assert not ledger.order(ONE)
    assert ledger.ended(DEAD)
    assert not ledger.order(ONE), "nor does one that comes after its end"


def test_a_pid_is_told_once_it_is_known() -> None:
    pids: dict[WorkerId, int] = {}
    ledger = WorkerLedger(pids.get)
    ledger.order(ONE)
    assert ledger.newborn() == []
    pids[ONE] = 7
    assert ledger.newborn() == [Spawned(id=ONE, pid=7)]
    assert ledger.newborn() == []
    assert ledger.standing() == ({ONE: 7}, ())


def test_a_worker_that_is_killed_before_it_has_a_pid_is_killed_then() -> None:
    pids: dict[WorkerId, int] = {}
    ledger = WorkerLedger(pids.get)
    ledger.order(ONE)
    assert not ledger.doom(ONE)
    assert ledger.take_doomed() == []
    pids[ONE] = 7
    assert ledger.take_doomed() == [ONE]
    assert ledger.take_doomed() == []
    assert ledger.doom(ONE)
    assert not ledger.doom(WorkerId("another"))


def test_an_end_is_kept_until_it_is_confirmed() -> None:
    ledger = WorkerLedger({ONE: 7}.get)
    ledger.order(ONE)
    assert ledger.ended(DEAD)
    assert not ledger.ended(DEAD)
    assert ledger.standing() == ({}, (DEAD,))
    ledger.confirm(ONE)
    assert ledger.standing() == ({}, ())
