"""Outcomes of turns that no call waits for are kept within limits of number, time and size."""

from hypothesis import example, given
from hypothesis import strategies as st

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.supervisor.conversations.state.started_turns import (
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


def most_that_fits(made: list[tuple[float, FinishedTurn]], now: float) -> list[FinishedTurn]:
    """Return as many of the latest outcomes as all limits together allow."""
    fitting: list[FinishedTurn] = []
    size = 0
    for at, turn in reversed(made):
        size += len(turn.last_message)
        if len(fitting) == KEPT or size > KEPT_BYTES or at < now - KEPT_SECONDS:
            break
        fitting.insert(0, turn)
    return fitting


@example([(0, KEPT_BYTES), (0, 1), (0, 1)])
@example([(0, 1), (KEPT_SECONDS / 2, 1), (KEPT_SECONDS / 2, 1)])
@example([(0, KEPT_BYTES - 1), (0, 1), (0, 0)])
@given(st.lists(ENDS, max_size=20))
def test_what_is_kept_is_as_much_of_the_latest_as_the_limits_allow(ends: list[tuple[float, int]]) -> None:
    now = 0.0
    turns = StartedTurns(lambda: now)
    made: list[tuple[float, FinishedTurn]] = []
    for number, (pause, size) in enumerate(ends):
        now += pause
        turns.begin()
        made.append((now, finished(number, size)))
        turns.end(made[-1][1])
        kept = [turn for _, turn in made if turns.find(turn.id) is not None]
        assert kept == most_that_fits(made, now)
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
