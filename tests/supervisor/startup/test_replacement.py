"""The hand-over between two hosts, one side of which is played: it happens once, for both, or not at all."""

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from greenroom.protocol.errors import StartError
from greenroom.runtime.service_manager import ServiceManager
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.frontend.listener import ClientIntake
from greenroom.supervisor.frontend.unix_listener import UnixListener
from greenroom.supervisor.startup.host_lock import HomeHasHostError, HostLock
from greenroom.supervisor.startup.replacement.holdings import Holdings
from greenroom.supervisor.startup.replacement.link import Link, Received
from greenroom.supervisor.startup.replacement.takeover import DEATH_TIMEOUT, Takeover

OFFER = b'{"type":"offer","program":"0.0","path":"/nowhere"}\n'


class PlayedListener:
    """What the new host would listen with."""

    address = "/nowhere"

    def __init__(self, listening: socket.socket, _: str) -> None:
        self.listening = listening
        self.has_started = False

    async def start(self, _: ClientIntake) -> None:
        self.has_started = True


class PlayedOld:
    """The old host: a process that lives, a lock, a socket, and what it says."""

    def __init__(self, directory: str) -> None:
        self.process = subprocess.Popen(("sleep", "600"))
        self.path = os.path.join(directory, "control")
        self.home = os.path.join(directory, "home")
        self.lock = HostLock.acquire(self.home)
        self.listening = socket.socket(socket.AF_UNIX)
        self.control = socket.socket(socket.AF_UNIX)
        self.control.bind(self.path)
        self.control.listen()
        self.listeners: list[PlayedListener] = []
        self.holdings = Holdings(ServiceManager())

    def takeover(self, death_timeout_s: float = DEATH_TIMEOUT) -> Takeover:
        def make(listening: socket.socket, path: str) -> UnixListener:
            self.listeners.append(PlayedListener(listening, path))
            return cast("UnixListener", self.listeners[-1])

        def none(*_: object) -> None:
            return None

        def nothing(*_: object) -> Any:
            raise AssertionError("nothing is asked for that the old host has not given")

        conversations = cast("Callable[[], ConversationHost]", nothing)
        return Takeover(
            *(self.process.pid, self.path, self.holdings, make, none, nothing, conversations),
            death_timeout_s=death_timeout_s,
        )

    async def play(self, *words: bytes | None) -> socket.socket:
        """Accept, and for each request say one of these things; `None` dies instead. Ends the connection."""
        loop = asyncio.get_running_loop()
        self.control.setblocking(False)
        connection, _ = await loop.sock_accept(self.control)
        for word in words:
            await loop.sock_recv(connection, 65536)
            if word is None:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
            elif word == OFFER:
                socket.send_fds(connection, [word], [self.lock.descriptor, self.listening.fileno()])
            else:
                await loop.sock_sendall(connection, word)
        connection.close()
        return connection

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.lock.close()
        for one in (self.listening, self.control, *(listener.listening for listener in self.listeners)):
            one.close()
        if self.holdings.lock is not None:
            self.holdings.lock.close()


@asynccontextmanager
async def played() -> AsyncIterator[PlayedOld]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="gr-") as directory:
        old = PlayedOld(directory)
        try:
            yield old
        finally:
            old.close()


INTAKE = cast("ClientIntake", None)


def refused(*words: bytes, death_timeout_s: float = DEATH_TIMEOUT) -> str:
    """Return the error of a new host to which the old one says this."""

    async def scene() -> str:
        async with played() as old:
            playing = asyncio.get_running_loop().create_task(old.play(*words))
            with pytest.raises(StartError) as error:
                await old.takeover(death_timeout_s).start(INTAKE)
            await playing
            with pytest.raises(HomeHasHostError):
                HostLock.acquire(old.home)
            assert not any(listener.has_started for listener in old.listeners)
            assert f"process {old.process.pid}" in str(error.value)
            return str(error.value)

    return asyncio.run(scene())


def test_a_release_that_knows_no_hand_over_is_named_with_its_own_words() -> None:
    text = "this version knows no such request"
    assert text in refused(msgspec.json.encode({"answer": "refused", "text": text}) + b"\n")


@pytest.mark.parametrize("words", [b"rubbish\n", b'{"answer":"done","text":"?"}\n', b""])
def test_what_is_no_offer_is_refused(words: bytes) -> None:
    assert "cannot be replaced" in refused(words)


def test_an_old_host_that_ends_the_connection_and_lives_is_the_host() -> None:
    assert "was not replaced" in refused(OFFER, b"", death_timeout_s=0.1)


def test_the_place_of_an_old_host_that_dies_before_it_can_answer_is_taken() -> None:
    async def scene() -> None:
        async with played() as old:
            playing = asyncio.get_running_loop().create_task(old.play(OFFER, None))
            await old.takeover().start(INTAKE)
            await playing
            assert [listener.has_started for listener in old.listeners] == [True]
            old.lock.close()
            assert old.holdings.lock is not None
            with pytest.raises(HomeHasHostError, match=f"pid {os.getpid()}"):
                HostLock.acquire(old.home)

    asyncio.run(scene())


def test_lines_and_descriptors_arrive_in_order_whatever_their_size(tmp_path: Path) -> None:
    sizes = [1, 300_000, 10, 1_000_000, 70_000, 5]
    files = [tmp_path / str(number) for number in range(len(sizes))]
    received: list[tuple[int, str]] = []

    async def scene() -> None:
        near, far = socket.socketpair()
        ended = asyncio.Event()

        def take(what: Received) -> None:
            line = msgspec.json.decode(what.line, type=str)
            with os.fdopen(what.descriptors.popleft()) as file:
                received.append((len(line), file.read()))

        sender, receiver = Link(near, lambda _: None, lambda: None), Link(far, take, ended.set)
        for number, (size, path) in enumerate(zip(sizes, files, strict=True)):
            path.write_text(str(number))
            with path.open() as file:
                sender.send(msgspec.json.encode("x" * size) + b"\n", [file.fileno()])
        while len(received) < len(sizes):
            await asyncio.sleep(0)
        sender.close()
        await ended.wait()
        assert receiver.is_closed
        assert receiver.has_left()

    asyncio.run(scene())
    assert received == [(size, str(number)) for number, size in enumerate(sizes)]
