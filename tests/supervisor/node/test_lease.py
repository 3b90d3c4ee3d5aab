"""The lease of a node is over before its host gives the node up, whatever the network and the clocks do."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.internal.node import BEAT, LEASE, LEASE_AT_HOST
from greenroom.supervisor.node.lease import Lease
from greenroom.supervisor.processes.nodes.membership import Membership
from tests.supervisor.processes.nodes.test_membership import join

DELAYS = st.lists(st.tuples(st.floats(0, 4), st.floats(0, 4), st.booleans(), st.booleans()), min_size=1, max_size=40)
"""Of each beat: seconds to the host and back, and whether it and its answer arrive at all."""


def test_a_lease_is_held_from_the_answer_to_a_join_on() -> None:
    lease = Lease()
    assert not lease.is_held
    assert not lease.is_over(1e9), "there is nothing to end before there was a host"
    lease.begin(10.0)
    assert not lease.is_over(10.0 + LEASE - 0.01)
    assert lease.is_over(10.0 + LEASE)
    lease.end()
    assert not lease.is_held


def test_an_answer_renews_it_from_the_sending_of_its_beat() -> None:
    lease = Lease()
    lease.begin(0.0)
    first, second = lease.beat(1.0), lease.beat(1.2)
    lease.answered(second, 2.9)
    assert lease.round_trip is not None
    assert round(lease.round_trip, 6) == 1.7
    assert lease.is_over(3.2), "and not from the arrival of the answer"
    lease.answered(first, 3.0)
    assert not lease.is_over(3.1), "an answer that was overtaken changes nothing"


def test_answers_to_beats_before_its_end_renew_nothing() -> None:
    lease = Lease()
    lease.begin(0.0)
    number = lease.beat(1.9)
    lease.end()
    lease.answered(number, 2.5)
    assert not lease.is_held


@given(DELAYS, st.floats(-1e6, 1e6), st.floats(0, 0.4))
def test_the_node_ends_its_workers_before_the_host_gives_it_up(
    beats: list[tuple[float, float, bool, bool]], offset: float, joining: float
) -> None:
    """The host's clock differs by an offset that neither side knows."""
    lease, host = Lease(), Membership("n1")
    lease.begin(0.0)
    host.joined(join(), joining + offset)
    arrivals: list[float] = [joining]
    answers: list[tuple[float, int]] = []
    for turn, (there, back, arrives, answered) in enumerate(beats):
        sent = (turn + 1) * BEAT
        number = lease.beat(sent)
        if arrives:
            arrivals.append(sent + there)
            if answered:
                answers.append((sent + there + back, number))
    for at in sorted(arrivals):
        if host.is_overdue(at + offset):
            break
        host.heard(at + offset)
    given_up_at = host.heard_at - offset + LEASE_AT_HOST
    for at, number in sorted(answers):
        if at >= given_up_at or lease.is_over(at):
            break
        lease.answered(number, at)
    assert lease.is_over(given_up_at)
