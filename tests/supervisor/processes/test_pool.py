"""The pool keeps as many waiting as it should, and gives each worker to one order."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from greenroom.protocol.ids import WorkerId
from greenroom.supervisor.processes.pool import Pool


def workers(count: int) -> list[WorkerId]:
    return [WorkerId(f"w-{number}") for number in range(count)]


def test_as_many_are_asked_for_as_are_missing() -> None:
    pool = Pool(2)
    assert pool.missing == 2
    one, two = workers(2)
    pool.expect(one)
    assert pool.missing == 1
    pool.expect(two)
    assert pool.missing == 0
    pool.ready(one)
    assert pool.missing == 0
    taken: list[WorkerId] = []
    pool.take(taken.append)
    assert taken == [one]
    assert pool.missing == 1
    assert not pool.has_orders


def test_orders_are_met_in_their_order() -> None:
    pool = Pool(0)
    taken: list[tuple[str, WorkerId]] = []
    pool.take(lambda worker: taken.append(("first", worker)))
    pool.take(lambda worker: taken.append(("second", worker)))
    assert pool.missing == 2
    assert pool.has_orders
    one, two = workers(2)
    for worker in (one, two):
        pool.expect(worker)
    pool.ready(two)
    pool.ready(one)
    assert taken == [("first", two), ("second", one)]
    assert pool.missing == 0


def test_orders_that_are_forgotten_are_not_met() -> None:
    pool = Pool(0)
    taken: list[WorkerId] = []
    pool.take(taken.append)
    pool.forget_orders()
    assert pool.missing == 0
    (worker,) = workers(1)
    pool.expect(worker)
    assert not pool.ready(worker), "it is one too many"
    assert taken == []
    assert pool.statistics().waiting == 0


def test_a_worker_that_is_lost_is_replaced() -> None:
    pool = Pool(1)
    on_its_way, waiting = workers(2)
    pool.expect(on_its_way)
    assert pool.lost(on_its_way)
    assert pool.missing == 1
    pool.expect(waiting)
    pool.ready(waiting)
    assert pool.lost(waiting)
    assert pool.missing == 1
    assert not pool.lost(waiting), "it is known no longer"


def test_a_worker_that_was_given_away_is_no_longer_the_pools() -> None:
    pool = Pool(1)
    (worker,) = workers(1)
    pool.expect(worker)
    pool.ready(worker)
    pool.take(lambda _: None)
    assert not pool.lost(worker)


def test_a_worker_that_has_ended_is_given_to_nobody_though_its_end_is_still_to_be_reported() -> None:
    ended: set[WorkerId] = set()
    pool = Pool(3, ended.__contains__)
    first, second, third, fresh = workers(4)
    for one in (first, second, third):
        pool.expect(one)
        assert pool.ready(one)
    ended |= {first, second}
    given: list[WorkerId] = []
    pool.take(given.append)
    assert given == [third]
    assert pool.missing == 3
    assert pool.lost(first), "it had no conversation"
    assert not pool.lost(third)
    pool.expect(fresh)
    assert pool.ready(fresh)
    ended.add(fresh)
    pool.take(given.append)
    assert given == [third]
    assert pool.has_orders
    assert [pool.lost(one) for one in (second, fresh, fresh)] == [True, True, False]


def test_a_worker_that_was_lost_is_given_to_nobody() -> None:
    pool = Pool(1)
    (worker,) = workers(1)
    pool.expect(worker)
    assert pool.lost(worker)
    pool.ready(worker)
    assert pool.statistics().waiting == 0
    assert pool.missing == 1


class PoolMachine(RuleBasedStateMachine):
    """Any order of events, beside a simple account of them."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 2
        self.pool = Pool(self.size)
        self.expected: list[WorkerId] = []
        self.waiting: deque[WorkerId] = deque()
        self.orders: deque[int] = deque()
        self.met: dict[int, WorkerId] = {}
        self.count = 0

    def _number(self) -> int:
        self.count += 1
        return self.count

    @rule()
    def ask_for_the_missing(self) -> None:
        for _ in range(self.pool.missing):
            worker = WorkerId(f"w-{self._number()}")
            self.expected.append(worker)
            self.pool.expect(worker)
        assert self.pool.missing == 0

    @rule()
    def take(self) -> None:
        order = self._number()
        if self.waiting:
            self.waiting.popleft()
        else:
            self.orders.append(order)
        self.pool.take(lambda worker: self.met.__setitem__(order, worker))

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def get_ready(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(self.expected))
        self.expected.remove(worker)
        if self.orders:
            order = self.orders.popleft()
            self.pool.ready(worker)
            assert self.met[order] == worker
        else:
            self.waiting.append(worker)
            self.pool.ready(worker)

    @precondition(lambda self: self.expected or self.waiting)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from([*self.expected, *self.waiting]))
        for place in (self.expected, self.waiting):
            if worker in place:
                place.remove(worker)
        assert self.pool.lost(worker)

    @invariant()
    def adds_up(self) -> None:
        statistics = self.pool.statistics()
        assert (statistics.waiting, statistics.expected, statistics.orders) == (
            len(self.waiting),
            len(self.expected),
            len(self.orders),
        )
        wanted = self.size + len(self.orders)
        assert self.pool.missing == max(0, wanted - len(self.waiting) - len(self.expected))

    @invariant()
    def each_worker_is_given_once(self) -> None:
        assert len(set(self.met.values())) == len(self.met)


PoolMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase
