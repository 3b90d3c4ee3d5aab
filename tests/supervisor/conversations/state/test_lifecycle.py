"""The life of a conversation: every state can be reached, none but `closed` is final, and nothing else can happen."""

from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import LocalProtocolError
from greenroom.supervisor.conversations.state import lifecycle
from greenroom.supervisor.conversations.state.lifecycle import (
    TRANSITIONS,
    WAITING_FOR_SLOT,
    WITH_PROCESS,
    LifecycleEvent,
    LifecycleState,
    after,
)

STATES: tuple[LifecycleState, ...] = get_args(LifecycleState)
HAPPENINGS: tuple[LifecycleEvent, ...] = get_args(LifecycleEvent)


def reachable(start: LifecycleState) -> set[LifecycleState]:
    found, edge = {start}, [start]
    while edge:
        state = edge.pop()
        new = {TRANSITIONS[state, happening] for happening in HAPPENINGS if (state, happening) in TRANSITIONS} - found
        found |= new
        edge += new
    return found


def test_every_state_can_be_reached() -> None:
    assert reachable("new") == set(STATES)


@pytest.mark.parametrize("state", STATES)
def test_every_life_can_end(state: LifecycleState) -> None:
    assert "closed" in reachable(state)
    if state != "closed":
        assert after(state, "closed") == "closed"


def test_only_closed_is_final() -> None:
    assert reachable("closed") == {"closed"}
    for state in STATES:
        assert state == "closed" or reachable(state) > {"closed"}


def test_the_table_speaks_of_known_states_and_happenings_alone() -> None:
    for (state, happening), following in TRANSITIONS.items():
        assert {state, following} <= set(STATES)
        assert happening in HAPPENINGS
    assert {happening for _, happening in TRANSITIONS} == set(HAPPENINGS)


def test_what_the_table_does_not_know_cannot_happen() -> None:
    impossible = set(product(STATES, HAPPENINGS)) - TRANSITIONS.keys()
    assert {("new", "turn_ended"), ("closed", "opened"), ("parked", "died")} <= impossible
    for state, happening in impossible:
        with pytest.raises(LocalProtocolError, match=state):
            after(state, happening)


@pytest.mark.parametrize("state", STATES)
def test_a_state_with_a_process_can_lose_it_and_no_other_can(state: LifecycleState) -> None:
    assert ((state, "died") in TRANSITIONS) == (state in WITH_PROCESS)


def test_a_turn_brings_a_process_wherever_there_is_none() -> None:
    assert not WITH_PROCESS & WAITING_FOR_SLOT
    assert WITH_PROCESS | WAITING_FOR_SLOT | {"closed"} == set(STATES)
    assert {state for state in STATES if (state, "placed") in TRANSITIONS} == WAITING_FOR_SLOT


@given(st.lists(st.sampled_from(HAPPENINGS), max_size=30))
def test_a_conversation_that_is_closed_stays_so(happenings: list[LifecycleEvent]) -> None:
    state: LifecycleState = "new"
    for happening in happenings:
        closed = state == "closed"
        if (state, happening) in TRANSITIONS:
            state = after(state, happening)
        assert not closed or state == "closed"


def test_every_state_is_explained() -> None:
    assert set(lifecycle.MEANINGS) == set(STATES)
    assert all(lifecycle.MEANINGS.values())
