"""The fork server and the broker live by their table: each death has its next start, until there are too many."""

from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import LocalProtocolError
from greenroom.runtime.restart import Backoff, Delays, Intensity, RestartPolicy
from greenroom.supervisor.processes.service_state import (
    MEANINGS,
    TRANSITIONS,
    ServiceEvent,
    ServicePhase,
    ServiceState,
    ServiceStatus,
    next_service_state,
)

STATES, HAPPENINGS = get_args(ServicePhase), get_args(ServiceEvent)
TWICE = Intensity(deaths=2, period=60.0, delays=(0.0, 1.0))


def test_the_table_speaks_of_known_states_and_happenings_and_every_state_is_explained() -> None:
    assert set(TRANSITIONS) <= set(product(STATES, HAPPENINGS))
    assert {state for state, _ in TRANSITIONS} | set(TRANSITIONS.values()) == set(STATES) == set(MEANINGS)


@pytest.mark.parametrize(("state", "happening"), sorted(set(product(STATES, HAPPENINGS)) - set(TRANSITIONS)))
def test_what_the_table_does_not_know_cannot_happen(state: ServicePhase, happening: ServiceEvent) -> None:
    with pytest.raises(LocalProtocolError):
        next_service_state(state, happening)


def test_a_helper_is_given_up_after_too_many_deaths() -> None:
    helper = ServiceState(RestartPolicy(TWICE))
    helper.came_up()
    for number, delay in enumerate(TWICE.delays, start=1):
        helper.died()
        assert helper.delay(now=0.0) == delay
        assert helper.status(pid=1, now=0.0) == ServiceStatus("restarting", None, number)
        helper.started()
    assert helper.status(pid=1, now=0.0) == ServiceStatus("starting", 1, 2)
    helper.died()
    assert helper.delay(now=0.0) is None
    assert helper.status(pid=1, now=0.0) == ServiceStatus("given_up", None, 3)


@given(st.integers(1, 100))
def test_a_helper_with_a_backoff_is_never_given_up(times: int) -> None:
    helper = ServiceState(Backoff(Delays((0.0, 1.0), healthy_after=10.0)))
    for _ in range(times):
        helper.died()
        assert helper.delay(now=0.0) is not None
        helper.started()
    assert helper.status(pid=2, now=0.0) == ServiceStatus("starting", 2, times)
    assert helper.status(pid=2, now=100.0) == ServiceStatus("starting", 2, 0), "it has been well for long enough"


@given(st.integers(1, 30))
def test_one_that_the_system_cannot_start_is_not_given_up(times: int) -> None:
    helper = ServiceState(RestartPolicy(TWICE))
    for _ in range(times):
        helper.died()
        helper.started()
    assert helper.status(pid=1, now=0.0) == ServiceStatus("starting", 1, 0)
