"""The streams of a client: one connection carries each at a time, and of answered ones only so much is kept."""

from greenroom.supervisor.frontend.http.event_log import OVERHEAD
from greenroom.supervisor.frontend.http.streams import ClientStreams, StreamLimits
from tests.support.loop import on_loop

LINE = b'{"id":1}\n'
AMPLE = StreamLimits(stream_bytes=1 << 20, stream_s=60.0, streams=10, total_bytes=1 << 20)


def answered(streams: ClientStreams, number: int) -> int:
    """Open a stream whose request is answered at once, and return its number."""
    stream = streams.begin([number])
    streams.answer(number, LINE)
    return stream.number


@on_loop
async def test_a_connection_takes_a_stream_over_from_another_which_then_ends() -> None:
    streams = ClientStreams(AMPLE)
    stream = streams.begin([1])
    former, _ = streams.read(stream, 0)
    latter, _ = streams.read(stream, 0)
    streams.answer(1, LINE)
    assert former.has_ended
    assert not former.take()
    assert [event.data for event in latter.take()] == [LINE.rstrip()]
    assert await former.wait(0.0), "it is woken"
    streams.let_go(stream, former)
    assert streams.readers == 1, "the one that has taken over stays"


@on_loop
async def test_of_answered_streams_the_oldest_go_first_where_all_are_too_large_together() -> None:
    size = len(LINE.rstrip()) + OVERHEAD
    streams = ClientStreams(AMPLE._replace(total_bytes=2 * size))
    numbers = [answered(streams, number) for number in range(3)]
    streams.tidy()
    assert [streams.find(number) is not None for number in numbers] == [False, True, True]


@on_loop
async def test_of_answered_streams_the_oldest_go_first_where_there_are_too_many() -> None:
    streams = ClientStreams(AMPLE._replace(streams=1))
    numbers = [answered(streams, number) for number in range(3)]
    streams.tidy()
    assert [streams.find(number) is not None for number in numbers] == [False, False, True]


@on_loop
async def test_what_is_being_read_or_not_answered_is_kept() -> None:
    streams = ClientStreams(AMPLE._replace(streams=0, total_bytes=0))
    waiting = streams.begin([1])
    carried = streams.begin([2])
    streams.read(carried, 0)
    streams.answer(2, LINE)
    streams.tidy()
    assert streams.find(waiting.number) is waiting
    assert streams.find(carried.number) is carried
