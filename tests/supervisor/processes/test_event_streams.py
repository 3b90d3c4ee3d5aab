"""The supervisor's end of the streams of events: complete, in order, and from known workers."""

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.protocol.ids import TurnId, WorkerId
from greenroom.protocol.internal.event_stream import TICKET_SIZE, FrameEncoder
from greenroom.protocol.internal.worker.notices import NoticeOrder
from greenroom.supervisor.processes.event_streams import GREETING, EventStreams
from tests.support.loop import on_loop

TURN = TurnId("t")
WORKER = WorkerId("w")
Told = list[tuple[str, bytes]]


class Worker:
    """A connection that a test writes to."""

    def __init__(self, path: Path, ticket: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.sendall(ticket)
        self._encoder = FrameEncoder()
        self._encoder.begin_turn(TURN)

    def frame(self, events: bytes, notices_before: int = 0) -> bytes:
        return self._encoder.encode(events, notices_before)

    def say(self, *batches: bytes) -> None:
        self.socket.sendall(b"".join(map(self.frame, batches)))


class Ends:
    """Streams, what they have told, and the workers at their other ends."""

    def __init__(self, directory: Path, window: float = 0.004, accept_pause_s: float = 1.0) -> None:
        self.path = directory / "events"
        self.told: Told = []
        self.streams = EventStreams(str(self.path), self._take, window, accept_pause_s=accept_pause_s)
        self._workers: list[Worker] = []

    def connect(self, name: str) -> Worker:
        worker = Worker(self.path, self.streams.admit(WorkerId(name)))
        self._workers.append(worker)
        return worker

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.told) < count:
                await asyncio.sleep(0)

    def close(self) -> None:
        self.streams.close()
        for worker in self._workers:
            worker.socket.close()

    def _take(self, worker_id: WorkerId, turn_id: TurnId, events: bytes) -> None:
        assert turn_id == TURN
        self.told.append((worker_id, events))


@pytest.fixture
def ends_in(tmp_path: Path) -> Callable[..., Ends]:
    return lambda **options: Ends(tmp_path, **options)


@on_loop
async def test_events_of_many_workers_arrive_each_in_its_order(ends_in: Callable[..., Ends]) -> None:
    ends = ends_in()
    workers = {name: ends.connect(name) for name in ("a", "b", "c")}
    for number in range(100):
        for name, worker in workers.items():
            worker.say(b"%b%d" % (name.encode(), number))
        if number % 7 == 0:
            await asyncio.sleep(0)
    await ends.until(300)
    for name in workers:
        assert [events for worker, events in ends.told if worker == name] == [
            b"%b%d" % (name.encode(), number) for number in range(100)
        ]
    ends.close()


STEPS = st.lists(st.sampled_from(["say", "half", "rest", "look", "notify", "deliver"]), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40)
@given(STEPS)
def test_events_and_notices_are_seen_in_the_order_of_their_worker(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Whenever notices arrive, and however frames are cut: nothing is lost, doubled or out of its order."""

    async def play() -> None:
        ends = Ends(tmp_path_factory.mktemp("s"), window=0.001)
        worker, rest, sent = ends.connect("w"), b"", []
        notices: deque[NoticeOrder] = deque()
        frames = numbers = 0

        def deliver() -> None:
            order = notices.popleft()
            ends.streams.before_notice(WORKER, order)
            ends.told.append(("w", b"notice %d" % order.number))
            ends.streams.after_notice(WORKER, order)

        for step in (*steps, "rest", "look"):
            if step in ("say", "half") and not rest:
                events = b"events %d" % frames
                frame = worker.frame(events, numbers)
                cut = 4 if step == "half" else len(frame)
                worker.socket.sendall(frame[:cut])
                rest, frames = frame[cut:], frames + 1
                sent.append(("w", events))
            elif step == "rest" and rest:
                worker.socket.sendall(rest)
                rest = b""
            elif step == "look":
                await asyncio.sleep(0.0005)
            elif step == "notify" and not rest:  # a worker sends a notice behind what it has sent
                numbers += 1
                notices.append(NoticeOrder(frames, numbers))
                sent.append(("w", b"notice %d" % numbers))
            elif step == "deliver" and notices:
                deliver()
        while notices:
            deliver()
        await ends.until(len(sent))
        assert ends.told == sent
        ends.close()

    asyncio.run(play())


@on_loop
async def test_a_notice_that_cannot_be_read_holds_up_no_event(ends_in: Callable[..., Ends]) -> None:
    ends = ends_in()
    worker = ends.connect("w")
    worker.socket.sendall(worker.frame(b"behind a lost notice", 1) + worker.frame(b"behind the next", 2))
    ends.streams.before_notice(WORKER, NoticeOrder(1, 2))
    assert ends.told == [("w", b"behind a lost notice")]
    ends.streams.after_notice(WORKER, NoticeOrder(1, 2))
    await ends.until(2)
    ends.close()


@on_loop
async def test_events_behind_a_notice_that_never_comes_are_told_at_the_end(ends_in: Callable[..., Ends]) -> None:
    ends = ends_in()
    worker = ends.connect("w")
    worker.socket.sendall(worker.frame(b"x", 1))
    worker.socket.close()
    ends.streams.finish(WORKER)
    assert ends.told == [("w", b"x")]
    ends.close()


@on_loop
async def test_a_notice_can_come_before_the_connection_was_looked_at(ends_in: Callable[..., Ends]) -> None:
    ends = ends_in()
    ends.connect("w").say(b"1", b"2")
    ends.streams.before_notice(WORKER, NoticeOrder(2, 1))
    assert ends.told == [("w", b"1"), ("w", b"2")]
    ends.close()


@on_loop
async def test_what_a_dead_worker_has_left_is_told_at_its_end(ends_in: Callable[..., Ends]) -> None:
    ends = ends_in()
    worker = ends.connect("w")
    worker.say(*[b"x" * 10_000] * 15)
    worker.socket.close()
    ends.streams.finish(WORKER)
    assert len(ends.told) == 15
    assert ends.streams.statistics().open == 0
    ends.close()


@on_loop
async def test_a_notice_after_the_end_of_the_stream_is_in_order_still(
    ends_in: Callable[..., Ends], caplog: pytest.LogCaptureFixture
) -> None:
    ends = ends_in()
    worker = ends.connect("w")
    worker.say(b"1")
    worker.socket.close()
    await ends.until(1)
    ends.streams.before_notice(WORKER, NoticeOrder(1, 1))
    assert "came before" not in caplog.text
    ends.streams.before_notice(WORKER, NoticeOrder(2, 1))
    assert "came before events" in caplog.text
    ends.close()


@on_loop
async def test_events_that_come_thick_and_fast_are_read_together(ends_in: Callable[..., Ends]) -> None:
    ends = ends_in(window=0.02)
    workers = [ends.connect(str(number)) for number in range(10)]
    before = ends.streams.statistics().reads
    for _ in range(20):
        for worker in workers:
            worker.say(b"x")
            await asyncio.sleep(0.0002)
    await ends.until(200)
    assert ends.streams.statistics().reads - before < 40
    ends.close()


@on_loop
async def test_an_event_after_a_pause_is_read_at_once(ends_in: Callable[..., Ends]) -> None:
    ends = ends_in(window=30.0)
    worker = ends.connect("w")
    ends.streams.before_notice(WORKER, NoticeOrder(0, 1))
    loop = asyncio.get_running_loop()
    loop.call_soon(worker.say, b"x")
    async with asyncio.timeout(10):  # of a window of thirty seconds
        await ends.until(1)
    ends.close()


@on_loop
async def test_a_ticket_is_good_for_one_connection_and_others_for_none(
    ends_in: Callable[..., Ends], caplog: pytest.LogCaptureFixture
) -> None:
    ends = ends_in()
    ticket = ends.streams.admit(WORKER)
    genuine = Worker(ends.path, ticket)
    ends.streams.before_notice(WORKER, NoticeOrder(1, 1))  # nothing has come; the connection has been taken
    for wrong in (ticket, b"\0" * TICKET_SIZE):
        stranger = Worker(ends.path, wrong)
        stranger.say(b"forged")
        async with asyncio.timeout(10):
            while "without a ticket" not in caplog.text:
                await asyncio.sleep(0)
        caplog.clear()
        stranger.socket.close()
    genuine.say(b"genuine")
    await ends.until(1)
    assert ends.told == [("w", b"genuine")]
    genuine.socket.close()
    ends.close()


@on_loop
async def test_a_ticket_of_a_worker_that_is_gone_is_void(
    ends_in: Callable[..., Ends], caplog: pytest.LogCaptureFixture
) -> None:
    ends = ends_in()
    ticket = ends.streams.admit(WORKER)
    ends.streams.finish(WORKER)
    late = Worker(ends.path, ticket)
    async with asyncio.timeout(10):
        while "without a ticket" not in caplog.text:
            await asyncio.sleep(0)
    late.socket.close()
    ends.close()


@on_loop
async def test_connections_that_say_nothing_do_not_pile_up(ends_in: Callable[..., Ends]) -> None:
    ends = ends_in()
    silent = []
    for _ in range(GREETING + 20):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(ends.path))
        silent.append(connection)
        await asyncio.sleep(0)
    worker = ends.connect("w")
    worker.say(b"1")
    await ends.until(1)
    silent[0].settimeout(10)
    assert silent[0].recv(1) == b"", "the first had to go"
    for connection in silent:
        connection.close()
    ends.close()


@on_loop
async def test_a_frame_that_cannot_be_ends_the_stream_and_is_reported(
    ends_in: Callable[..., Ends], caplog: pytest.LogCaptureFixture
) -> None:
    ends = ends_in()
    worker = ends.connect("w")
    worker.say(b"1")
    await ends.until(1)
    worker.socket.sendall(b"\xff" * 9)
    async with asyncio.timeout(10):
        while "its events are read no more" not in caplog.text:
            await asyncio.sleep(0)
    ends.close()


@on_loop
async def test_a_refusal_of_the_system_is_told_once_and_the_connection_is_taken_later(
    ends_in: Callable[..., Ends], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, refusals = socket.socket.accept, [OSError(errno.EMFILE, "too many open files")]

    def refused_once(listener: socket.socket) -> tuple[socket.socket, object]:
        if refusals:
            raise refusals.pop()
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", refused_once)
    ends = ends_in(accept_pause_s=0.01)
    ends.connect("w").say(b"1")
    ends.streams.before_notice(WORKER, NoticeOrder(1, 1))
    assert ends.told == []
    await ends.until(1)
    assert caplog.text.count("cannot be accepted") == 1
    ends.close()


@on_loop
async def test_a_worker_may_end_after_the_streams_are_closed(ends_in: Callable[..., Ends]) -> None:
    ends = ends_in()
    ends.connect("w").say(b"1")
    ends.close()
    ends.streams.finish(WORKER)
    assert ends.told == []
