"""When a body is read: at once as long as little comes, once in a window where much comes; and silence has an end."""

import asyncio
from contextlib import aclosing

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.responses import Completed, TextDelta
from greenroom.workers.model.transport.body_reader import (
    DENSE,
    HELD_BYTES,
    LATE,
    MOST,
    SILENCE,
    SUSTAINED,
    EventRate,
    Stretch,
)
from tests.workers.model.exchange import BODY, DONE, HELLO, run, says, serving, talking

WINDOW = 0.03


def after(intervals: list[float], window: float = WINDOW) -> float:
    """Return the pause right after events that came with these intervals, each by itself."""
    rate, now = EventRate(), 100.0
    for interval in intervals:
        now += interval
        rate.note(now, 1)
    return rate.pause(now, window)


@given(st.lists(st.floats(WINDOW, 10.0), max_size=40))
def test_a_stream_that_is_slower_than_the_window_never_waits(intervals: list[float]) -> None:
    assert after(intervals) == 0.0


@given(st.lists(st.floats(0.0, 0.9 * DENSE * WINDOW), min_size=4 * SUSTAINED, max_size=60))
def test_a_stream_that_is_much_faster_is_read_once_in_a_window(intervals: list[float]) -> None:
    assert after(intervals) == pytest.approx(WINDOW)


@given(st.lists(st.floats(0.0, SILENCE), max_size=SUSTAINED - 1))
def test_the_first_events_never_wait(intervals: list[float]) -> None:
    assert after(intervals) == 0.0


@given(st.lists(st.floats(0.0, WINDOW / 2), max_size=60), st.floats(SILENCE * 1.01, 60.0))
def test_the_first_event_after_a_silence_is_followed_by_no_pause(intervals: list[float], silence: float) -> None:
    assert after([*intervals, silence]) == 0.0


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(1, 50)), max_size=60), st.floats(0.0, 1.0))
def test_a_pause_is_never_longer_than_the_window_nor_begun_anew(reads: list[tuple[float, int]], later: float) -> None:
    rate, now = EventRate(), 0.0
    for interval, events in reads:
        now += interval
        rate.note(now, events)
        assert 0.0 <= rate.pause(now, WINDOW) <= WINDOW + 1e-9
    assert rate.pause(now + later, WINDOW) <= max(0.0, rate.pause(now, WINDOW) - later + 1e-9)


@given(st.lists(st.floats(0.0, 1.0), max_size=60))
def test_without_a_window_there_is_no_pause(intervals: list[float]) -> None:
    assert after(intervals, window=0.0) == 0.0


def test_a_window_that_grows_makes_a_slower_stream_dense() -> None:
    intervals = [0.033] * (4 * SUSTAINED)
    assert after(intervals, 0.03) == 0.0
    assert after(intervals, 0.033 / DENSE * 1.1) > 0.0


@given(st.lists(st.floats(-0.001, 1.0)))
def test_windows_grow_while_they_are_noticed_late_and_shrink_again(lateness: list[float]) -> None:
    stretch = Stretch()
    for late in lateness:
        before = stretch.of(1.0)
        stretch.note(late)
        assert stretch.of(1.0) == MOST or stretch.of(1.0) > before if late > LATE else stretch.of(1.0) <= before
        assert WINDOW <= stretch.of(WINDOW) <= MOST * WINDOW
    for _ in range(40):
        stretch.note(0.0)
    assert stretch.of(WINDOW) == WINDOW


def test_much_at_once_ends_a_window() -> None:
    async def scenario() -> None:
        received = asyncio.Event()

        async def bursts(request: web.Request) -> web.StreamResponse:
            response = await says()(request)
            for _ in range(4 * SUSTAINED):
                await response.write(HELLO)
                await asyncio.sleep(0.001)
            await response.write(HELLO * (2 * HELD_BYTES // len(HELLO)))
            await received.wait()
            await response.write(DONE)
            return response

        async with serving(bursts) as server, talking(server.url) as talk:
            talk.client.delta_window = 3600.0
            events = 0
            async with aclosing(talk.client.stream(BODY, talk.retries.append)) as batches:
                async for batch in batches:
                    events += sum(event.raw.count(b"Hello") for event in batch if isinstance(event, TextDelta))
                    if events >= HELD_BYTES // len(HELLO):
                        break
            received.set()

    run(scenario())


def test_much_that_comes_piece_by_piece_is_told_in_few_pieces_and_whole() -> None:
    async def scenario() -> None:
        async def trickles(request: web.Request) -> web.StreamResponse:
            response = await says()(request)
            for _ in range(100):
                await response.write(HELLO)
                await asyncio.sleep(0.001)
            await response.write(DONE)
            return response

        async with serving(trickles) as server, talking(server.url) as talk:
            pieces = []
            async with aclosing(talk.client.stream(BODY, talk.retries.append)) as batches:
                async for batch in batches:
                    pieces += [event.raw for event in batch if isinstance(event, TextDelta)]
            assert b"".join(piece[1:-1] for piece in pieces) == b"Hello" * 100
            assert len(pieces) < 60
            talk.client.delta_window = 0.0
            singles = []
            async with aclosing(talk.client.stream(BODY, talk.retries.append)) as batches:
                async for batch in batches:
                    singles += [event.raw for event in batch if isinstance(event, TextDelta)]
            assert singles == [b'"Hello"'] * 100

    run(scenario())


def test_a_connection_that_was_read_in_windows_serves_the_next_request() -> None:
    """Both answers are whole, and the pauses of the first one are over when the second one comes."""

    async def scenario() -> None:
        connections = set()

        async def hurries(request: web.Request) -> web.StreamResponse:
            connections.add(request.transport)
            response = await says()(request)
            for _ in range(4 * SUSTAINED):
                await response.write(HELLO)
                await asyncio.sleep(0.001)
            await response.write(DONE)
            await response.write_eof()
            return response

        async with serving(hurries) as server, talking(server.url) as talk:
            for _ in range(2):
                *pieces, end = await talk.ask()
                texts = [piece.raw[1:-1] for piece in pieces if isinstance(piece, TextDelta)]
                assert b"".join(texts) == b"Hello" * 4 * SUSTAINED
                assert len(texts) < 4 * SUSTAINED
                assert isinstance(end, Completed)
            assert len(connections) == 1

    run(scenario())
