"""What is written reaches its reader in order, without blocking, and the end of the reader is noticed."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from greenroom.supervisor.frontend.exec.output import PIECE, OutputPipe
from greenroom.supervisor.frontend.stdio import HIGH_WATER
from tests.support.loop import on_loop


@pytest.fixture(params=["pipe", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Yield the reader's end and the writer's."""
    if request.param == "pipe":
        reader, writer = os.pipe()
    else:
        reader, writer = (end.detach() for end in socket.socketpair())
    yield reader, writer
    for end in (reader, writer):
        with suppress(OSError):
            os.close(end)


class Heard:
    """What an output has reported."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.pressure: list[bool] = []


def opened(writer: int) -> tuple[OutputPipe, Heard]:
    heard = Heard()
    output = OutputPipe(writer, heard.gone.set, heard.pressure.append)
    output.start()
    return output, heard


@on_loop
async def test_a_slow_reader_gets_everything_and_blocks_nobody(ends: tuple[int, int]) -> None:
    reader, writer = ends
    output, heard = opened(writer)
    data = os.urandom(2 * HIGH_WATER + PIECE)
    output.write(data)
    assert heard.pressure == [True]
    read = b""
    while len(read) < len(data):
        read += await asyncio.to_thread(os.read, reader, 65536)
    await output.drain()
    assert read == data
    assert heard.pressure == [True, False]
    assert os.get_blocking(writer)
    output.close()


@on_loop
async def test_the_end_of_the_reader_is_noticed_without_a_write(ends: tuple[int, int]) -> None:
    reader, writer = ends
    output, heard = opened(writer)
    os.close(reader)
    await heard.gone.wait()
    output.write(b"lost\n")
    await output.drain()
    assert output.statistics().waiting == 0
    output.close()


@on_loop
async def test_the_end_of_the_reader_is_noticed_while_it_is_waited_for(ends: tuple[int, int]) -> None:
    reader, writer = ends
    output, heard = opened(writer)
    output.write(os.urandom(HIGH_WATER))
    os.close(reader)
    await heard.gone.wait()
    await output.drain()
    output.close()


@on_loop
async def test_a_file_is_written(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        output, heard = opened(file.fileno())
        output.write(b"line\n" * 10_000)
        await output.drain()
        output.close()
    assert (tmp_path / "out").read_bytes() == b"line\n" * 10_000
    assert not heard.gone.is_set()


@on_loop
async def test_what_the_reader_writes_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        output, heard = opened(ours.fileno())
        theirs.send(b"hello")
        output.write(b"line\n")
        await output.drain()
        assert theirs.recv(100) == b"line\n"
        assert not heard.gone.is_set()
        output.close()
