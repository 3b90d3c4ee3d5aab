"""The commands of one conversation that go on between the calls of the model: numbered, watched, bounded in number.

They outlive the turn that started them, and end with the conversation. Clients are told of them only while a turn runs,
since only then there is a listener: an end that comes between two turns is told at the beginning of the next.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from greenroom.protocol.errors import SandboxUnavailableError
from greenroom.protocol.events.event import Event
from greenroom.protocol.internal.jobs import StreamName
from greenroom.workers.exec.background_command import BackgroundCommand
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.command_run import explain_failure
from greenroom.workers.exec.process import Finished
from greenroom.workers.exec.starter import CommandStarter
from greenroom.workers.tools.command_events import CommandEvents
from greenroom.workers.tools.types import Emit, ExecutionMode, ToolFailure

MOST: Final = 64
"""Commands that are kept at a time."""
RECENT: Final = 8
"""How many of those that were used last are kept whatever happens."""
NUMBERS: Final = range(1_000, 100_000)
MOST_DELTAS: Final = 10_000
"""Reads of one command's output that clients are told of. The rest is in what the model reads, and in the end event."""
UNATTENDED_PAUSE: Final = 0.005
"""Seconds between two reads while no turn runs: a command that floods must not cost a whole core meanwhile."""


@dataclass(slots=True, eq=False)
class NumberedCommand:
    """One of them."""

    number: int
    argv: tuple[str, ...]
    way: ExecutionMode
    events: CommandEvents
    command: BackgroundCommand = field(init=False)
    finished: Finished | None = None
    """How it ended, once it has and clients were told, or will be."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with `finished`."""
    deltas: int = 0

    async def wait(self, seconds: float) -> None:
        """Wait until it is over, but no longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()


class BackgroundCommandsStatistics(msgspec.Struct, frozen=True):
    """Counts at one moment."""

    running: int
    unread_ends: int
    """Commands that have ended while the model has not asked since."""


class BackgroundCommands:
    """Belongs to one conversation and its loop."""

    def __init__(self, emit: Emit, on_all_ended: Callable[[], None]) -> None:
        """`on_all_ended` is called when between two turns the last of them ends that ran."""
        self._emit = emit
        self._on_all_ended = on_all_ended
        self._kept: dict[int, NumberedCommand] = {}
        """In the order of their last use."""
        self._watching: dict[NumberedCommand, asyncio.Task[None]] = {}
        self._attended = True
        self._untold: list[Event] = []

    def __iter__(self) -> Iterator[NumberedCommand]:
        return iter(self._kept.values())

    def statistics(self) -> BackgroundCommandsStatistics:
        """Return the counts."""
        ended = sum(kept.over.is_set() for kept in self)
        return BackgroundCommandsStatistics(len(self._kept) - ended, ended)

    async def attend(self) -> None:
        """Note that a turn begins, and tell what has ended since the last."""
        self._attended = True
        while self._untold:
            await self._emit_and_wait(self._untold.pop(0))

    def leave_alone(self) -> None:
        """Note that the turn is over."""
        self._attended = False

    def new_number(self) -> int:
        """Return a number that no command has."""
        return next(number for number in iter(lambda: random.choice(NUMBERS), None) if number not in self._kept)

    async def open(self, kept: NumberedCommand, command: CommandSpec, starter: CommandStarter) -> None:
        """Start a command and keep it under its number, giving up another where there are too many.

        Raises `ToolFailure` where it cannot be started.
        """
        await self._make_room()
        kept.command = BackgroundCommand(command, lambda name, chunk: self._relay(kept, name, chunk))
        await self._emit_and_wait(kept.events.begin())
        try:
            await kept.command.start(starter)
        except SandboxUnavailableError as error:
            await self._refuse(kept, f"{error}; it was not run")
        except (OSError, ValueError) as error:
            await self._refuse(kept, explain_failure(command, error))
        self._kept[kept.number] = kept
        watching = asyncio.get_running_loop().create_task(self._see_out(kept), name=f"command {kept.number}")
        self._watching[kept] = watching
        watching.add_done_callback(lambda _: self._watching.pop(kept))

    def find(self, number: int) -> NumberedCommand | None:
        """Return the command of this number, which counts as a use of it."""
        kept = self._kept.pop(number, None)
        if kept is not None:
            self._kept[number] = kept
        return kept

    def forget(self, kept: NumberedCommand) -> None:
        """Give up the number of a command that is over."""
        self._kept.pop(kept.number, None)

    async def end(self, kept: NumberedCommand) -> None:
        """Kill a command if it still runs, and give up its number."""
        await kept.command.close()
        await kept.over.wait()
        self.forget(kept)

    async def close(self) -> None:
        """Kill all of them and wait for their ends."""
        self.leave_alone()
        watching = list(self._watching.values())
        await asyncio.gather(*(kept.command.close() for kept in self._watching))
        await asyncio.gather(*watching)

    async def _make_room(self) -> None:
        """Give up the longest unused that has ended, else the longest unused."""
        while len(self._kept) >= MOST:
            old = list(self)[:-RECENT]
            await self.end(next((kept for kept in old if kept.over.is_set()), old[0]))

    async def _refuse(self, kept: NumberedCommand, reason: str) -> None:
        await self._emit_and_wait(kept.events.failed(reason))
        raise ToolFailure(f"exec_command failed: {reason}")

    async def _see_out(self, kept: NumberedCommand) -> None:
        """Wait for the end of a command, and tell it now or later."""
        finished = await kept.command.wait()
        text = finished.aggregated.render_for_model(kept.events.budget)
        event = kept.events.end(finished, shell_exit_code(finished), text)
        if self._attended:
            await self._emit_and_wait(event)
        else:
            self._untold.append(event)
        kept.finished = finished
        kept.over.set()
        if not self._attended and not self.statistics().running:
            self._on_all_ended()

    async def _relay(self, kept: NumberedCommand, name: StreamName, chunk: bytes) -> None:
        if not self._attended:
            await asyncio.sleep(UNATTENDED_PAUSE)
        elif kept.deltas < MOST_DELTAS:
            kept.deltas += 1
            await self._emit_and_wait(kept.events.output(name, chunk))

    async def _emit_and_wait(self, event: Event) -> None:
        waiting = self._emit(event)
        if waiting is not None:
            await waiting


def shell_exit_code(finished: Finished) -> int:
    """Return the exit code as a shell would tell it: 128 and the signal's number where a signal ended the command."""
    if finished.signal is not None:
        return 128 + finished.signal
    return -1 if finished.exit_code is None else finished.exit_code
