"""However long the steps of an end take, their limits together stay below the two seconds of the official SDKs."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.supervisor.frontend.connection import FLUSH_TIMEOUT
from greenroom.supervisor.processes.broker_process import REFRESH_TIME
from greenroom.supervisor.processes.departure import CLIENTS, PROCESSES, RECORDS, Departure
from greenroom.supervisor.processes.tree import LEAVE_TIMEOUT

KILLED_AFTER = 2.0
"""Seconds after which the official SDKs kill what they have asked to end."""
shares = st.floats(0.0, 1.0)


@given(shares, shares, shares, shares, shares)
def test_all_steps_together_stay_below_the_time_in_which_a_server_is_killed(
    workers: float, broker: float, processes: float, clients: float, records: float
) -> None:
    now = [100.0]
    departure = Departure(lambda: now[0])
    steps = (
        (workers, LEAVE_TIMEOUT, None),
        (broker, REFRESH_TIME, None),
        (processes, PROCESSES, None),
        (clients, CLIENTS, FLUSH_TIMEOUT),
        (records, RECORDS, None),
    )
    for share, until, most in steps:
        now[0] += share * departure.left(until, most)
    assert now[0] - 100.0 <= KILLED_AFTER - 0.2


def test_a_step_has_what_the_ones_before_it_have_left() -> None:
    now = [0.0]
    departure = Departure(lambda: now[0])
    assert departure.left(1.4) == 1.4
    assert departure.left(1.4, 0.3) == 0.3
    now[0] = 1.0
    assert departure.left(1.4) == 1.4 - 1.0
    now[0] = 9.0
    assert departure.left(1.4) == 0.1
