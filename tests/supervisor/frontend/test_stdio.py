"""The client's pipe: nothing is lost, nothing blocks, and a client that does not read is felt."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.supervisor.frontend.descriptors import Descriptors
from greenroom.supervisor.frontend.stdio import HIGH_WATER, INPUT_STOP, LOW_WATER, StdioTransport
from tests.support.loop import on_loop, turns, until

BLOCK = b"x" * 65_536


class Pipes:
    """A transport and the client's ends of its pipes."""

    def __init__(self, source: int | None = None) -> None:
        theirs, self.to_server = os.pipe()
        self.from_server, ours = os.pipe()
        if source is not None:
            os.close(theirs)
            theirs = source
        for descriptor in (theirs, ours):
            os.set_blocking(descriptor, False)
        self.input_copy = os.dup(theirs)
        self.got = bytearray()
        self.ended = 0
        self._given_back = False
        self.pressure: list[bool] = []
        self.transport = StdioTransport(Descriptors(theirs, ours), self.got.extend, self._end, self.pressure.append)

    def _end(self) -> None:
        self.ended += 1

    async def read(self, size: int) -> bytes:
        """Read so many bytes as a client that does nothing else."""
        os.set_blocking(self.from_server, False)
        data = bytearray()
        while len(data) < size:
            try:
                data += os.read(self.from_server, size - len(data))
            except BlockingIOError:
                await asyncio.sleep(0)
        return bytes(data)

    def give_back(self) -> None:
        if not self._given_back:
            self._given_back = True
            self.transport.close()

    def close(self) -> None:
        self.give_back()
        for descriptor in (self.to_server, self.from_server, self.input_copy):
            with suppress(OSError):
                os.close(descriptor)


@asynccontextmanager
async def pipes(source: int | None = None) -> AsyncIterator[Pipes]:
    opened = Pipes(source)
    try:
        yield opened
    finally:
        opened.close()


@on_loop
async def test_what_the_client_says_is_handed_on_until_it_ends() -> None:
    async with pipes() as ends:
        ends.transport.start()
        for piece in (b"one", b"two" * 20_000, b"three"):
            os.write(ends.to_server, piece)
            await until(lambda piece=piece: ends.got.endswith(piece))  # type: ignore[misc]
        assert ends.ended == 0
        os.close(ends.to_server)
        await until(lambda: ends.ended)
        assert bytes(ends.got) == b"one" + b"two" * 20_000 + b"three"
        assert ends.transport.statistics().read == len(ends.got)
        await turns()
        assert ends.ended == 1


@on_loop
async def test_nothing_is_read_before_the_start() -> None:
    async with pipes() as ends:
        os.write(ends.to_server, b"early")
        await turns()
        assert not ends.got
        ends.transport.start()
        await until(lambda: ends.got == b"early")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=200_000), max_size=12))
def test_what_we_write_arrives_complete_and_in_order(pieces: list[bytes]) -> None:
    async def scene() -> None:
        async with pipes() as ends:
            for piece in pieces:
                ends.transport.write(piece)
            whole = b"".join(pieces)
            assert await ends.read(len(whole)) == whole
            await ends.transport.drain()
            statistics = ends.transport.statistics()
            assert (statistics.written, statistics.waiting) == (len(whole), 0)

    asyncio.run(scene())


@on_loop
async def test_a_client_that_does_not_read_never_blocks_us_and_loses_nothing() -> None:
    async with pipes() as ends:
        written = 0
        while ends.transport.statistics().waiting < 3 * HIGH_WATER:
            ends.transport.write(BLOCK)
            written += len(BLOCK)
        draining = asyncio.create_task(ends.transport.drain())
        await turns()
        assert not draining.done()
        assert await ends.read(written) == b"x" * written
        await draining


@on_loop
async def test_a_client_that_takes_nothing_is_felt() -> None:
    async with pipes() as ends:
        while ends.transport.statistics().waiting <= 2 * HIGH_WATER:
            ends.transport.write(BLOCK)
        assert ends.pressure == [True]


@on_loop
async def test_pressure_is_felt_once_and_goes_when_the_client_has_caught_up() -> None:
    async with pipes() as ends:
        ends.transport.write(b"x" * (2 * HIGH_WATER))
        assert ends.pressure == [True]
        while ends.transport.statistics().waiting > LOW_WATER:
            assert ends.pressure == [True]
            await ends.read(4096)
            await asyncio.sleep(0)
        assert ends.pressure == [True, False]
        ends.transport.write(b"y")
        assert ends.pressure == [True, False]


@on_loop
async def test_little_is_no_pressure() -> None:
    async with pipes() as ends:
        for _ in range(HIGH_WATER // 4096):
            ends.transport.write(b"x" * 4096)
        assert ends.pressure == []


@on_loop
async def test_requests_of_a_client_that_takes_nothing_are_left_in_its_pipe() -> None:
    async with pipes() as ends:
        ends.transport.start()
        ends.transport.write(b"x" * (INPUT_STOP + 10 * HIGH_WATER))
        os.write(ends.to_server, b"another request")
        await turns()
        assert not ends.got
        await ends.read(INPUT_STOP + 10 * HIGH_WATER)
        await until(lambda: ends.got == b"another request")


@on_loop
async def test_a_client_that_has_gone_is_written_to_no_more() -> None:
    async with pipes() as ends:
        ends.transport.start()
        ends.transport.write(b"x" * (2 * HIGH_WATER))
        os.close(ends.from_server)
        await ends.transport.drain()
        assert ends.pressure == [True, False], "nobody has to wait for it any more"
        ends.transport.write(b"more" * HIGH_WATER)
        assert ends.transport.statistics().waiting == 0
        os.write(ends.to_server, b"still here")
        await until(lambda: ends.got == b"still here")


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_a_file_is_read_to_its_end(size: int) -> None:
    async def scene() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"z" * size)
            file.seek(0)
            async with pipes(os.dup(file.fileno())) as ends:
                ends.transport.start()
                await until(lambda: ends.ended)
                assert bytes(ends.got) == b"z" * size

    asyncio.run(scene())


@on_loop
async def test_an_empty_device_is_an_end_of_input() -> None:
    async with pipes(os.open(os.devnull, os.O_RDONLY)) as ends:
        ends.transport.start()
        await until(lambda: ends.ended == 1)


@on_loop
async def test_the_descriptors_are_given_back_as_they_came() -> None:
    async with pipes() as ends:
        assert os.get_blocking(ends.input_copy) is False
        ends.transport.start()
        ends.give_back()
        assert os.get_blocking(ends.input_copy) is True
        assert os.read(ends.from_server, 1) == b"", "our end is closed"


@on_loop
async def test_nothing_to_write_is_nothing_written() -> None:
    async with pipes() as ends:
        ends.transport.write(b"")
        await ends.transport.drain()
        assert ends.transport.statistics().waiting == 0
