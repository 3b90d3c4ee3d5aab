"""Outcomes of turns that no call waits for are kept within limits of number, time and size."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.supervisor.conversations.started_turns import (
    KEPT,
    KEPT_BYTES,
    KEPT_SECONDS,
    FinishedTurn,
    StartedTurns,
)

THREAD = ConversationId("c")
ENDS = st.tuples(st.floats(0, KEPT_SECONDS / 2), st.integers(0, KEPT_BYTES))


def finished(number: int, size: int = 2) -> FinishedTurn:
    return FinishedTurn(TurnId(str(number)), THREAD, bytes(size))


def test_an_outcome_is_found_by_its_turn_and_the_latest_by_its_conversation() -> None:
    turns = StartedTurns()
    for number in (1, 2):
        turns.begin()
        turns.end(finished(number))
    assert turns.find(TurnId("1")) == finished(1)
    assert turns.last_of(THREAD) == finished(2)
    assert turns.find(TurnId("3")) is turns.last_of(ConversationId("d")) is None
    assert turns.under_way == 0


def test_an_outcome_says_how_the_turn_ended() -> None:
    ends = {
        kind: FinishedTurn(TurnId("1"), THREAD, b'""', Failure(kind, "")).end for kind in ("turn_aborted", "config")
    }
    assert ends == {"turn_aborted": "aborted", "config": "failed"}
    assert finished(1).end == "completed"


@given(st.lists(ENDS, max_size=20))
def test_what_is_kept_is_always_the_latest_and_never_too_much(ends: list[tuple[float, int]]) -> None:
    now = 0.0
    turns = StartedTurns(lambda: now)
    made: list[tuple[float, FinishedTurn]] = []
    for number, (pause, size) in enumerate(ends):
        now += pause
        turns.begin()
        made.append((now, finished(number, size)))
        turns.end(made[-1][1])
        kept = [turn for _, turn in made if turns.find(turn.id) is not None]
        assert kept == [turn for _, turn in made][len(made) - len(kept) :]
        assert sum(len(turn.last_message) for turn in kept) <= KEPT_BYTES
        assert all(now - at <= KEPT_SECONDS for at, turn in made if turn in kept)
        assert turns.last_of(THREAD) == (kept[-1] if kept else None)


def test_no_more_than_a_number_of_outcomes_is_kept_and_time_alone_drops_them() -> None:
    now = 0.0
    turns = StartedTurns(lambda: now)
    for number in range(KEPT + 5):
        turns.begin()
        turns.end(finished(number))
    assert len(turns._finished) == KEPT, "also where nobody looks"
    assert [number for number in range(KEPT + 5) if turns.find(TurnId(str(number)))] == list(range(5, KEPT + 5))
    now = KEPT_SECONDS + 1
    assert turns.find(TurnId(str(KEPT))) is turns.last_of(THREAD) is None
