"""A command that is open: input one after the other, each answered once, and output as it comes."""

import asyncio
from base64 import b64encode
from typing import cast

import msgspec
import pytest

from greenroom.protocol.app_server.commands import CommandExecOutputDelta
from greenroom.protocol.internal.jobs import CommandExec, CommandInput, CommandOutput, InputTaken, WindowSize
from greenroom.supervisor.conversations.jobs.jobs import Job, Jobs
from greenroom.supervisor.frontend.app_server.commands.open_command import OpenCommand
from greenroom.supervisor.frontend.request_params import RefusedError
from tests.support.loop import on_loop, turns

SIZE = WindowSize(rows=5, columns=7)


class PlayedJobs:
    """Takes what a job is told."""

    def __init__(self) -> None:
        self.told: list[CommandInput] = []
        self.stopped: list[Job] = []

    def tell(self, job: Job, what: bytes) -> None:
        self.told.append(msgspec.json.decode(what, type=CommandInput))

    def stop(self, job: Job) -> None:
        self.stopped.append(job)


class Scene:
    """A command with these features, whose worker is played."""

    def __init__(self, *, reads_input: bool = True, terminal: WindowSize | None = None) -> None:
        self.jobs = PlayedJobs()
        self.told: list[CommandExecOutputDelta] = []
        wanted = CommandExec(
            cwd=None,
            command=("cat",),
            timeout_ms=None,
            environment={},
            output_cap=None,
            reads_input=reads_input,
            terminal=terminal,
        )
        self.command = OpenCommand("p", wanted, self.told.append)
        self.job = Job("command-exec", b"", asyncio.get_running_loop().create_future())
        self.command.attach(cast("Jobs", self.jobs), self.job)

    def take(self, number: int) -> None:
        self.command.report(msgspec.json.encode(InputTaken(number=number)))


@on_loop
async def test_input_waits_until_what_was_before_it_is_taken() -> None:
    scene = Scene()
    writes = [asyncio.create_task(scene.command.write(data, is_last=False)) for data in (b"a", b"b")]
    await turns()
    assert [told.data for told in scene.jobs.told] == [b"a"]
    scene.take(scene.jobs.told[0].number)
    await turns()
    assert [told.data for told in scene.jobs.told] == [b"a", b"b"]
    assert [write.done() for write in writes] == [True, False]
    scene.take(scene.jobs.told[1].number)
    await asyncio.gather(*writes)


@on_loop
async def test_nothing_is_written_behind_the_end_of_input() -> None:
    scene = Scene()
    last = asyncio.create_task(scene.command.write(b"a", is_last=True))
    await turns()
    assert scene.jobs.told == [CommandInput(number=1, data=b"a", is_last=True)]
    with pytest.raises(RefusedError, match="closed"):
        await scene.command.write(b"b", is_last=False)
    scene.take(1)
    await last


@on_loop
async def test_only_what_was_asked_for_can_be_written_or_resized() -> None:
    silent = Scene(reads_input=False)
    with pytest.raises(RefusedError, match="streamStdin"):
        await silent.command.write(b"a", is_last=False)
    with pytest.raises(RefusedError, match="no terminal"):
        await silent.command.resize(SIZE)
    terminal = Scene(reads_input=False, terminal=SIZE)
    resized = asyncio.create_task(terminal.command.resize(WindowSize(rows=1, columns=2)))
    await turns()
    assert terminal.jobs.told == [CommandInput(number=1, size=WindowSize(rows=1, columns=2))]
    terminal.take(1)
    await resized


@on_loop
async def test_input_that_an_ended_command_has_not_taken_is_refused() -> None:
    scene = Scene()
    writes = [asyncio.create_task(scene.command.write(data, is_last=False)) for data in (b"a", b"b")]
    await turns()
    scene.command.close()
    for write in writes:
        with pytest.raises(RefusedError, match="no longer running"):
            await write
    scene.command.terminate()
    assert scene.jobs.stopped == []


@on_loop
async def test_output_is_told_as_it_comes() -> None:
    scene = Scene()
    scene.command.report(msgspec.json.encode(CommandOutput(stream="stderr", data=b"\xff", is_capped=True)))
    delta = CommandExecOutputDelta(
        process_id="p", stream="stderr", delta_base64=b64encode(b"\xff").decode(), cap_reached=True
    )
    assert scene.told == [delta]


@on_loop
async def test_a_command_is_killed_on_demand() -> None:
    scene = Scene()
    scene.command.terminate()
    assert scene.jobs.stopped == [scene.job]
