"""The interface by which commands are started: as a plain child, or confined (`greenroom.workers.sandbox.starter`)."""

import signal
import subprocess
from collections.abc import Callable
from typing import Protocol, TypeAlias

from greenroom.runtime.process.child import ChildExit, watch
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.process_groups import ProcessGroups

OnEnd: TypeAlias = Callable[[ChildExit], None]


class Running(Protocol):
    """A command that has been started."""

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its process group, unless it has ended."""

    def kill(self) -> None:
        """Kill it and all its descendants. Does not wait; harmless when it has ended."""


class CommandStarter(Protocol):
    """A starter of commands."""

    async def start(
        self, command: CommandSpec, stdout: int, stderr: int, on_end: OnEnd, stdin: int | None = None
    ) -> Running:
        """Start a command whose output goes to two descriptors of the caller, and call `on_end` once when it has ended.

        Where the command wants a terminal, `stdout` is that. Its input comes from `stdin`, and is empty without it.

        Raises `OSError` or `ValueError` where it cannot be started; `filename` is then the directory or the program.
        """
        ...


class GroupStarter:
    """Starts commands without a sandbox, each as the leader of a session and group of its own, and without a terminal.

    To give a command its terminal, Python code would have to run between fork and exec.
    """

    def __init__(self, groups: ProcessGroups) -> None:
        self._groups = groups

    async def start(
        self, command: CommandSpec, stdout: int, stderr: int, on_end: OnEnd, stdin: int | None = None
    ) -> Running:
        if not command.argv:
            raise ValueError("command args are empty")
        assert not command.terminal, "a plain child has no terminal"
        process = subprocess.Popen(  # noqa: ASYNC220 - a vfork takes less than a millisecond
            command.argv,
            cwd=command.cwd,
            env=command.environment,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        return _Group(process, self._groups, on_end)


class _Group:
    def __init__(self, process: "subprocess.Popen[bytes]", groups: ProcessGroups, on_end: OnEnd) -> None:
        self._process = process
        self._groups = groups
        self._on_end = on_end
        groups.add(process.pid)
        try:
            watch(process.pid, self._ended)
        except OSError:
            self.kill()
            process.wait()
            groups.release(process.pid)
            raise

    def send(self, number: signal.Signals) -> None:
        self._groups.send(self._process.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def _ended(self, ending: ChildExit) -> None:
        self._process.returncode = ending.returncode
        self._groups.release(self._process.pid)
        self._on_end(ending)
