"""A command reads what is written to its input, waits for none that has not come, and never holds up its writer."""

import asyncio
import random
from collections.abc import Callable, Coroutine

import pytest

from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.command_run import CommandRun
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.exec.starter import GroupStarter

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
LARGE = random.Random(1).randbytes(1 << 20)


async def output(
    argv: tuple[str, ...], act: Callable[[CommandRun], Coroutine[None, None, None]]
) -> tuple[bytes, int | None]:
    """Run a command with an input, and return what it writes and how it ends."""
    written = bytearray()
    command = CommandRun(CommandSpec(argv, "/", ENVIRONMENT, timeout=20, reads_input=True))

    async def take(_: str, chunk: bytes) -> None:
        written.extend(chunk)

    await command.start(GroupStarter(ProcessGroups()))
    acting = asyncio.create_task(act(command))
    await command.relay(take)
    await command.over.wait()
    await acting
    await command.close()
    return bytes(written), command.returncode


async def everything(command: CommandRun) -> None:
    await command.type(LARGE)
    await command.end_input()
    await command.type(b"too late")


async def nothing(command: CommandRun) -> None:
    await command.end_input()


async def kill(command: CommandRun) -> None:
    command.resize(1, 1)  # it has no terminal: nothing happens
    command.kill()


@pytest.mark.parametrize(
    ("argv", "act", "written", "returncode"),
    [
        (("cat",), everything, LARGE, 0),
        (("cat",), nothing, b"", 0),
        (("true",), everything, b"", 0),
        (("head", "-c", "3"), everything, LARGE[:3], 0),
        (("cat",), kill, b"", -9),
    ],
)
def test_input_is_read_as_far_as_the_command_wants_it(
    argv: tuple[str, ...], act: Callable[[CommandRun], Coroutine[None, None, None]], written: bytes, returncode: int
) -> None:
    assert asyncio.run(output(argv, act)) == (written, returncode)
