"""Resources of nodes: what is taken is not free, and is free again once its holder has ended."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.ids import NodeName, WorkerId
from greenroom.supervisor.processes.nodes.resources import Reservations
from greenroom.supervisor.processes.nodes.wish import Needs

A, B = NodeName("a"), NodeName("b")
TOTALS = {A: {"gpu_box": 2.0}, B: {"gpu_box": 1.0, "rack": 0.5}}
BOX: Needs = (("gpu_box", 1.0),)


def reservations() -> Reservations:
    return Reservations(lambda node: TOTALS.get(node, {}))


def order(_: WorkerId) -> None:
    """Stand for an order."""


def test_what_an_order_takes_its_worker_has_until_it_ends() -> None:
    table, worker = reservations(), WorkerId("w")
    table.take(order, A, (("gpu_box", 2.0),))
    assert not table.fits(A, BOX)
    assert table.has(A, BOX)
    table.pass_on(order, worker)
    assert not table.release(order)
    assert not table.fits(A, BOX)
    assert table.release(worker)
    assert table.fits(A, BOX)


def test_only_nodes_with_all_that_is_needed_are_considered() -> None:
    table = reservations()

    def fitting(needs: Needs) -> list[str]:
        return [name for name in (A, B, NodeName("c")) if table.fits(name, needs)]

    assert fitting(()) == [A, B, "c"]
    assert fitting(BOX) == [A, B]
    assert fitting((*BOX, ("rack", 0.5))) == [B]
    assert fitting((("tpu", 1.0),)) == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.sampled_from((0.1, 0.5, 1.0)))))
def test_no_more_is_taken_than_there_is(steps: list[tuple[bool, int, float]]) -> None:
    table = reservations()
    held: dict[WorkerId, float] = {}
    for takes, number, amount in steps:
        worker = WorkerId(str(number))
        if takes and worker not in held and table.fits(A, (("gpu_box", amount),)):
            table.take(worker, A, (("gpu_box", amount),))
            held[worker] = amount
        elif not takes:
            assert table.release(worker) is (held.pop(worker, None) is not None)
        assert sum(held.values()) <= 2.0 + 1e-6
        assert table.fits(A, (("gpu_box", 2.0),)) is (not held)
