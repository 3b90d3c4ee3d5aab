"""The worker's mailbox keeps the order, batches what is ready, and exerts back-pressure."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import zmq

from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.worker.notices import Heartbeat, Opened, Ready, ReceivedNotice, TurnEnded, TurnProgress
from greenroom.protocol.internal.worker.operations import Close, Interrupt, ReceivedOperation
from greenroom.workers.event_stream import EventStream
from greenroom.workers.mailbox import BATCH, HIGH_WATER, Mailbox
from tests.support.loop import on_loop, until
from tests.support.post import WORKER, Post

CONVERSATION = ConversationId("c-1")
FIRST = Incarnation(1)
TURN = TurnId("t-1")


class Connection:
    """A mailbox and the supervisor's end of it."""

    def __init__(self, receive_queue: int) -> None:
        self.post = Post(receive_queue=receive_queue)
        self.operations: list[ReceivedOperation] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.mailbox = Mailbox(self._context, self.post.spec, self.operations.append)

    async def greet(self) -> None:
        """Let both ends find each other."""
        self.mailbox.notify(Ready(worker_id=WORKER, pid=1))
        await self.post.notice(Ready)
        self.mailbox.begin_turn(TURN)

    def close(self) -> None:
        self.mailbox.close(0)
        self._context.destroy(linger=0)
        self.post.close()


@asynccontextmanager
async def connection(receive_queue: int = 1000) -> AsyncIterator[Connection]:
    opened = Connection(receive_queue)
    try:
        await opened.greet()
        yield opened
    finally:
        opened.close()


def ended(turn_id: TurnId = TURN) -> TurnEnded:
    return TurnEnded(conversation_id=CONVERSATION, incarnation=FIRST, turn_id=turn_id, outcome="completed")


@on_loop
async def test_what_one_pass_emits_leaves_as_one_message() -> None:
    async with connection() as ends:
        for number in range(20):
            ends.mailbox.emit(b'{"n":%d}' % number)
        await ends.post.until(lambda: ends.post.batches)
        assert ends.post.batches == [(TURN, b"\n".join(b'{"n":%d}' % number for number in range(20)))]


@on_loop
async def test_a_large_batch_does_not_wait_for_the_end_of_the_pass() -> None:
    async with connection() as ends:
        event = b"x" * 1_000
        for _ in range(3 * BATCH // len(event)):
            ends.mailbox.emit(event)
        await ends.post.until(lambda: len(ends.post.events()) == 3 * BATCH // len(event))
        sizes = [len(payload) for _, payload in ends.post.batches]
        assert len(sizes) >= 3
        assert max(sizes) <= BATCH + len(event)


@on_loop
async def test_a_notice_comes_after_the_events_before_it() -> None:
    async with connection() as ends:
        ends.mailbox.emit(b"1")
        ends.mailbox.emit(b"2")
        ends.mailbox.notify(ended(), b'"last"')
        ends.mailbox.emit(b"3")
        await ends.post.until(lambda: len(ends.post.events()) == 3)
        assert ends.post.log[1:] == [(TURN, b"1\n2"), (ended(), b'"last"', (1, 2)), (TURN, b"3")]


@on_loop
async def test_events_keep_the_turn_in_which_they_were_emitted() -> None:
    async with connection() as ends:
        ends.mailbox.emit(b"old")
        ends.mailbox.begin_turn(TurnId("t-2"))
        ends.mailbox.emit(b"new")
        await ends.post.until(lambda: len(ends.post.events()) == 2)
        assert ends.post.events("t-1") == [b"old"]
        assert ends.post.events("t-2") == [b"new"]


@on_loop
async def test_thousands_of_events_arrive_complete_and_in_order() -> None:
    async with connection() as ends:
        expected = [b'{"n":%d}' % number for number in range(20_000)]
        for index, event in enumerate(expected):
            ends.mailbox.emit(event)
            if index % 100 == 0:
                await asyncio.sleep(0)
            if ends.mailbox.pressed:
                await ends.mailbox.drain()
        await ends.post.until(lambda: len(ends.post.events()) == len(expected))
        assert ends.post.events() == expected


@on_loop
async def test_a_supervisor_that_takes_nothing_is_felt_and_nothing_is_lost() -> None:
    async with connection(receive_queue=2) as ends:
        ends.post.pause()
        event, count = b"x" * 50_000, 0
        while ends.mailbox.statistics().waiting_bytes < 2 * HIGH_WATER:
            ends.mailbox.emit(event)
            count += 1
            await asyncio.sleep(0.001)  # for the kernel to take what it will take
        assert ends.mailbox.pressed
        draining = asyncio.create_task(ends.mailbox.drain())
        await asyncio.sleep(0.02)
        assert not draining.done()
        assert ends.mailbox.statistics().waiting_bytes >= HIGH_WATER
        assert ends.mailbox.statistics().waiting_messages > 0
        ends.post.resume()
        await draining
        await ends.post.until(lambda: len(ends.post.events()) == count)
        await until(lambda: ends.mailbox.statistics().waiting_bytes == 0)
        assert not ends.mailbox.pressed


@on_loop
async def test_notices_that_wait_keep_their_place_among_the_events() -> None:
    async with connection(receive_queue=2) as ends:
        ends.post.pause()
        expected = []
        for number in range(60):
            ends.mailbox.emit(b"%d" % number + b"x" * 50_000)
            ends.mailbox.notify(ended(TurnId(str(number))))
            expected += [b"%d" % number, str(number)]
        ends.post.resume()
        await ends.post.until(lambda: len(ends.post.of(TurnEnded)) == 60)
        told = [
            one.notice.turn_id  # type: ignore[union-attr]
            if isinstance(one, ReceivedNotice)
            else one[1].rstrip(b"x")
            for one in ends.post.log[1:]
        ]
        assert told == expected


@on_loop
async def test_little_is_no_pressure_and_draining_returns_at_once() -> None:
    async with connection() as ends:
        ends.mailbox.emit(b"x")
        assert not ends.mailbox.pressed
        await ends.mailbox.drain()


@on_loop
async def test_the_last_words_are_handed_over_before_the_end() -> None:
    async with connection(receive_queue=2) as ends:
        ends.post.pause()
        for _ in range(30):
            ends.mailbox.emit(b"x" * 60_000)
        ends.mailbox.notify(ended())
        sending = asyncio.create_task(ends.mailbox.sent())
        await asyncio.sleep(0.01)
        assert not sending.done()
        ends.post.resume()
        await sending
        ends.mailbox.close(1000)
        await ends.post.notice(TurnEnded)


@on_loop
async def test_operations_arrive_in_order_with_their_payload() -> None:
    async with connection() as ends:
        for number in range(50):
            operation = Interrupt(conversation_id=CONVERSATION, incarnation=FIRST, turn_id=TurnId(str(number)))
            ends.post.send(operation, b"%d" % number)
        ends.post.send(Close())
        await until(lambda: len(ends.operations) == 51)
        assert [payload for _, payload in ends.operations[:50]] == [b"%d" % number for number in range(50)]
        assert ends.operations[-1].operation == Close()


@on_loop
async def test_what_is_no_operation_is_dropped_and_the_next_one_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    async with connection() as ends:
        for frames in ([b"nonsense"], [b"close", b"\xc1", b""], [b"close", b"", b"", b""], [b"", b"", b""]):
            ends.post.port.send([WORKER.encode(), *frames])
        ends.post.send(Close())
        await until(lambda: ends.operations)
        assert [received.operation for received in ends.operations] == [Close()]
        assert caplog.text.count("the supervisor sent no operation") == 4


@on_loop
async def test_a_supervisor_that_comes_late_gets_what_waited_for_it() -> None:
    post = Post()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    address = post.spec.mailbox_address.replace("mailbox", "late")
    mailbox = Mailbox(context, msgspec.structs.replace(post.spec, mailbox_address=address), lambda _: None)
    mailbox.begin_turn(TURN)
    mailbox.notify(Opened(conversation_id=CONVERSATION, incarnation=FIRST, model="m", cwd="/", session_path="p"))
    mailbox.emit(b"early")
    await asyncio.sleep(0.02)
    post.port._socket.bind(address)
    await post.until(lambda: post.events() == [b"early"])
    assert isinstance(post.notices[0].notice, Opened)
    mailbox.close(0)
    context.destroy(linger=0)
    post.close()


@on_loop
async def test_what_is_held_back_waits_in_order_and_a_report_goes_ahead() -> None:
    async with connection() as ends:
        ends.mailbox.hold(True)
        ends.mailbox.emit(b'{"n":1}')
        ends.mailbox.notify(ended())
        ends.mailbox.report(beat())
        await ends.post.notice(Heartbeat)
        assert not ends.post.events()
        assert not ends.post.of(TurnEnded)
        assert ends.mailbox.statistics().waiting_messages == 2
        ends.mailbox.hold(False)
        await ends.post.notice(TurnEnded)
        assert ends.post.events() == [b'{"n":1}']
        assert ends.mailbox.statistics().waiting_bytes == 0


@on_loop
async def test_producers_wait_while_they_are_held_back_and_go_on_afterwards() -> None:
    async with connection() as ends:
        ends.mailbox.hold(True)
        event, count = b"x" * 1_000, 0
        while not ends.mailbox.pressed:
            ends.mailbox.emit(event)
            count += 1
        draining = asyncio.create_task(ends.mailbox.drain())
        await asyncio.sleep(0)
        ends.mailbox.hold(False)
        ends.mailbox.hold(True)
        ends.mailbox.hold(False)
        await draining
        await ends.post.until(lambda: len(ends.post.events()) == count)


def beat() -> Heartbeat:
    return Heartbeat(
        conversation_id=CONVERSATION, incarnation=FIRST, turn_id=TURN, progress=TurnProgress(doing="waiting"), tokens=0
    )


def test_a_worker_whose_supervisor_has_just_died_ends_without_a_word(tmp_path: Path) -> None:
    """There is nobody left to tell, and the lifeline says the same."""

    async def connect() -> None:
        post = Post()
        spec = msgspec.structs.replace(post.spec, events_path=str(tmp_path / "gone"))
        try:
            with pytest.raises(SystemExit):
                EventStream(spec)
        finally:
            post.close()

    asyncio.run(connect())
