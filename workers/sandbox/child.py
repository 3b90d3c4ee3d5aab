"""A started command: its end of the channel to the monitor. The worker's side, on asyncio."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from typing import Final

from greenroom.runtime.process.child import ChildExit
from greenroom.workers.sandbox import messages
from greenroom.workers.sandbox.confinement import Confinement
from greenroom.workers.sandbox.messages import (
    CommandEnded,
    Deserted,
    Kill,
    MonitorAssigned,
    Order,
    Send,
    Started,
    StartFailed,
)

log = logging.getLogger(__name__)

OBEDIENCE: Final = 0.5
"""Seconds that a monitor has to kill its command before it is killed itself. Below the time that a killed command has
to die (`greenroom.workers.exec.command_run.DEATH_SECONDS`).
"""


class Child:
    """A started command. Belongs to the loop on which it was started."""

    def __init__(self, confinement: Confinement | None = None) -> None:
        self.confinement: Final = confinement
        self._loop = asyncio.get_running_loop()
        self._control, self.monitor_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        self._begun: asyncio.Future[Started | StartFailed | None] = self._loop.create_future()
        self._ended: asyncio.Future[ChildExit] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._monitor: int | None = None
        self._insisting: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._control, self._listen)

    @property
    def pid(self) -> int:
        """The pid of the command, which is also its process group and session."""
        return self._start().pid

    @property
    def limits(self) -> tuple[str, ...]:
        """Protections that its sandbox does not provide on this system, or only at a cost."""
        return self._start().limits

    @property
    def has_ended(self) -> bool:
        """Whether the command itself has ended."""
        return self._ended.done()

    @property
    def is_gone(self) -> bool:
        """Whether the command and all its descendants have ended."""
        return self._gone.is_set()

    async def wait(self) -> ChildExit:
        """Wait for the end of the command itself, not of what it left running."""
        return await asyncio.shield(self._ended)

    async def wait_gone(self) -> None:
        """Wait until the command and all its descendants have ended."""
        await self._gone.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command's process group, unless the command has ended."""
        self._order(Send(number))

    def kill(self) -> None:
        """Kill the command and all its descendants, whatever group or session they have moved to. Does not wait.

        A monitor that has not done so after `OBEDIENCE` seconds hangs and is killed itself.
        """
        self._order(Kill())
        if self._insisting is None and not self.is_gone:
            self._insisting = self._loop.call_later(OBEDIENCE, self._insist)

    def kill_monitor(self) -> bool:
        """Kill the monitor where one has the command, and return whether one has. The command dies with it.

        Descendants of the command are then killed by the zygote. The pid is certain to be the monitor's: it is alive
        as long as its end of the channel is open.
        """
        if self.is_gone or self._monitor is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._monitor, signal.SIGKILL)
        return True

    def abandon(self) -> None:
        """Kill as `kill` does, and stop listening."""
        self._lose()

    async def begin(self) -> Started | StartFailed | None:
        """Wait until the program runs, or cannot; return `None` where zygote or monitor are gone."""
        return await asyncio.shield(self._begun)

    @property
    def monitor(self) -> int | None:
        """The pid of the monitor that has the command."""
        return self._monitor

    @property
    def is_taken(self) -> bool:
        """Whether the zygote has given the command to a monitor."""
        return self._monitor is not None

    def presume_begun(self) -> None:
        """Assume that the program was started although no message said so: its request was claimed."""
        if not self._begun.done() or self._begun.result() is None:
            self._begun = self._loop.create_future()
            self._begun.set_result(Started(0, ()))
        if self.is_gone and not self._ended.done():
            self._ended.set_result(ChildExit(0, -signal.SIGKILL, 0))

    def _start(self) -> Started:
        started = self._begun.result()
        assert isinstance(started, Started)
        return started

    def _order(self, order: Order) -> None:
        if not self.is_gone:
            with contextlib.suppress(OSError):  # the monitor is gone; `_listen` notices that
                self._control.send(messages.encode_message(order))

    def _listen(self) -> None:
        try:
            data = self._control.recv(messages.LONGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        match messages.decode_report(data):
            case MonitorAssigned(monitor):
                self._monitor = monitor
            case Started() | StartFailed() as outcome if not self._begun.done():
                self._begun.set_result(outcome)
            case Started() | StartFailed():  # late: the program was assumed to be started
                pass
            case CommandEnded(pid, returncode, max_rss):
                self._ended.set_result(ChildExit(pid, returncode, max_rss))
            case Deserted():
                self._lose()

    def _insist(self) -> None:
        if self.kill_monitor():
            log.error("the monitor of a command, process %d, hangs and is killed", self._monitor)

    def _lose(self) -> None:
        """Release the monitor. The death of a monitor kills its command."""
        if self.is_gone:
            return
        if self._insisting is not None:
            self._insisting.cancel()
        self._loop.remove_reader(self._control)
        self._control.close()
        if not self._begun.done():
            self._begun.set_result(None)
        if not self._ended.done() and isinstance(started := self._begun.result(), Started):
            self._ended.set_result(ChildExit(started.pid, -signal.SIGKILL, 0))
        self._gone.set()
