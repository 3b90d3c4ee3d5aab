"""Pipes are read in bounded pieces, none of them before or after its turn."""

import asyncio
import os

import pytest

from greenroom.workers.exec.pipes import READ_SIZE, Pipes


class Ends:
    """Two pipes: what a command writes to, and what we read from."""

    def __init__(self) -> None:
        self.out, self.out_end = os.pipe()
        self.err, self.err_end = os.pipe()

    def pipes(self) -> Pipes:
        return Pipes({self.out: "stdout", self.err: "stderr"})

    def end(self) -> None:
        for descriptor in (self.out_end, self.err_end):
            os.close(descriptor)


@pytest.fixture
def ends() -> Ends:
    return Ends()


def test_a_flood_on_one_pipe_does_not_hide_the_other(ends: Ends) -> None:
    async def read() -> list[tuple[str, int]]:
        os.write(ends.out_end, bytes(3 * READ_SIZE))
        os.write(ends.err_end, b"x")
        ends.end()
        pipes = ends.pipes()
        seen: list[tuple[str, int]] = []
        while pipes.open:
            await pipes.wait()
            while (piece := pipes.read()) is not None:
                seen.append((piece[0], len(piece[1])))
        return seen

    seen = asyncio.run(read())
    assert sorted(seen) == [("stderr", 1), *[("stdout", READ_SIZE)] * 3]
    assert seen.index(("stderr", 1)) < 2


def test_nothing_is_read_where_nothing_is_there(ends: Ends) -> None:
    async def read() -> None:
        pipes = ends.pipes()
        assert pipes.read() is None
        pipes.stir()
        await pipes.wait()
        assert pipes.read() is None
        assert pipes.open
        pipes.close()
        assert not pipes.open

    asyncio.run(read())
    with pytest.raises(BrokenPipeError):
        os.write(ends.out_end, b"x")
    ends.end()
