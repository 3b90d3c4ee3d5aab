"""A stream passes on whatever arrives, never blocks, and exerts back-pressure."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq

from greenroom.runtime.zmq.zmq_stream import BURST, ZmqStream
from tests.support.loop import on_loop, until

ADDRESS = "inproc://port"


class Pair:
    """Two ports on one context."""

    def __init__(self, send_queue: int = 1000, receive_queue: int = 1000) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        server, client = self.context.socket(zmq.PAIR), self.context.socket(zmq.PAIR)
        server.setsockopt(zmq.RCVHWM, receive_queue)
        client.setsockopt(zmq.SNDHWM, send_queue)
        server.bind(ADDRESS)
        client.connect(ADDRESS)
        self.got: list[list[bytes]] = []
        self.back: list[list[bytes]] = []
        self._socket = server
        self.client = ZmqStream(client, lambda frames: self.back.append([frame.bytes for frame in frames]))

    def listen(self) -> None:
        """Take what arrives at the server's end, from now on."""
        self.server = ZmqStream(self._socket, lambda frames: self.got.append([frame.bytes for frame in frames]))

    def fill(self) -> int:
        """Send until the queue is full, and return how many it took."""
        count = 0
        while self.client.send([b"%d" % count]):
            count += 1
        return count

    def close(self) -> None:
        self.client.close()
        self._socket.close(linger=0)
        self.context.term()


@contextmanager
def pair(send_queue: int = 1000, receive_queue: int = 1000, *, listens: bool = True) -> Iterator[Pair]:
    ports = Pair(send_queue, receive_queue)
    if listens:
        ports.listen()
    try:
        yield ports
        if hasattr(ports, "server"):
            ports.server.close()
    finally:
        ports.close()


@on_loop
async def test_messages_arrive_whole_and_in_order() -> None:
    with pair() as ports:
        for number in range(500):
            assert ports.client.send([b"head", b"%d" % number])
        await until(lambda: len(ports.got) == 500)
        assert ports.got == [[b"head", b"%d" % number] for number in range(500)]
        assert ports.server.statistics().received == 500
        assert ports.client.statistics().sent == 500


@on_loop
async def test_what_came_before_the_first_wait_is_passed_on() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    server, client = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    server.bind(ADDRESS)
    client.connect(ADDRESS)
    client.send(b"early")
    got: list[bytes] = []
    port = ZmqStream(server, lambda frames: got.append(frames[0].bytes))
    await until(lambda: got == [b"early"])
    port.close()
    client.close()
    context.term()


@on_loop
async def test_a_flood_leaves_other_callbacks_their_turn() -> None:
    with pair(send_queue=0, receive_queue=0) as ports:
        for number in range(BURST * 10):
            ports.client.send([b"%d" % number])
        while len(ports.got) < BURST * 10:
            before = len(ports.got)
            await asyncio.sleep(0)
            assert len(ports.got) - before <= 2 * BURST, "once for the descriptor, once for what was left"


@on_loop
async def test_a_full_queue_refuses_and_never_blocks() -> None:
    with pair(send_queue=2, receive_queue=2, listens=False) as ports:
        took = ports.fill()
        assert took >= 2
        assert ports.client.send([b"more"]) is False
        statistics = ports.client.statistics()
        assert statistics.sent == took
        assert statistics.refused >= 2


@on_loop
async def test_a_sender_that_found_the_queue_full_waits_until_it_is_read() -> None:
    with pair(send_queue=2, receive_queue=2, listens=False) as ports:
        took = ports.fill()
        waiting = asyncio.create_task(ports.client.wait_writable())
        for _ in range(50):
            await asyncio.sleep(0)
        assert not waiting.done()
        ports.listen()
        await waiting
        await until(lambda: len(ports.got) == took)
        assert ports.client.send([b"again"])


@on_loop
async def test_several_may_wait_and_cancelling_one_does_not_disturb_the_others() -> None:
    with pair(send_queue=1, receive_queue=1, listens=False) as ports:
        ports.fill()
        first, second = (asyncio.create_task(ports.client.wait_writable()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        ports.listen()
        await second
        with pytest.raises(asyncio.CancelledError):
            await first


@on_loop
async def test_both_directions_work_at_once() -> None:
    with pair() as ports:
        for number in range(200):
            ports.client.send([b"%d" % number])
            ports.server.send([b"%d" % number])
        await until(lambda: len(ports.got) == len(ports.back) == 200)


@on_loop
async def test_closing_wakes_waiters_and_may_be_repeated() -> None:
    with pair(send_queue=1, receive_queue=1, listens=False) as ports:
        ports.fill()
        waiting = asyncio.create_task(ports.client.wait_writable())
        await asyncio.sleep(0)
        ports.client.close()
        ports.client.close()
        await waiting
        await ports.client.wait_writable()


@on_loop
async def test_a_peer_that_is_not_there_is_no_error() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.bind(ADDRESS)
    port = ZmqStream(router, lambda _: None)
    assert port.send([b"nobody", b"x"]) is False
    assert port.statistics().refused == 1
    port.close()
    context.term()


@on_loop
async def test_a_callback_that_closes_the_port_gets_no_further_message() -> None:
    with pair() as ports:

        def take(frames: list[zmq.Frame]) -> None:
            ports.got.append([frames[0].bytes])
            ports.server.close()

        ports.server._on_message = take
        for number in range(3):
            ports.client.send([b"%d" % number])
        await until(lambda: ports.got)
        await asyncio.sleep(0.01)
        assert ports.got == [[b"0"]]
