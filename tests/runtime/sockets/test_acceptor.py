"""What was accepted is handed on, and what could not be accepted is once that is possible."""

import asyncio
import errno
import socket

import pytest

from greenroom.runtime.sockets.acceptor import Acceptor


class Listening(socket.socket):
    """Fails at its first attempts with these errors."""

    faults: tuple[int, ...] = ()

    def accept(self) -> tuple[socket.socket, object]:
        if self.faults:
            fault, *rest = self.faults
            self.faults = tuple(rest)
            raise OSError(fault, "cannot")
        return super().accept()


@pytest.fixture
def listening() -> Listening:
    made = Listening()
    made.bind(("127.0.0.1", 0))
    made.listen()
    return made


@pytest.mark.parametrize("faults", [(), (errno.ECONNABORTED,), (errno.EMFILE,), (errno.ENFILE, errno.EMFILE)])
def test_a_client_is_taken_in_also_after_that_was_impossible(faults: tuple[int, ...], listening: Listening) -> None:
    listening.faults = faults

    async def scene() -> None:
        taken: asyncio.Queue[socket.socket] = asyncio.Queue()
        accepting = Acceptor(listening, taken.put_nowait, retry_s=0.01)
        accepting.resume()
        with socket.create_connection(listening.getsockname()), await asyncio.wait_for(taken.get(), 10) as connected:
            assert not connected.getblocking()
        accepting.close()

    with listening:
        asyncio.run(scene())


def test_nobody_is_taken_in_while_it_is_paused_or_closed(listening: Listening) -> None:
    async def scene() -> None:
        taken: list[socket.socket] = []
        accepting = Acceptor(listening, taken.append)
        accepting.resume()
        accepting.pause()
        with socket.create_connection(listening.getsockname()):
            await asyncio.sleep(0.01)
            assert not taken
            accepting.close()
            accepting.resume()
            await asyncio.sleep(0.01)
            assert not taken

    with listening:
        asyncio.run(scene())
