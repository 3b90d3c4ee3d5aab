"""Starts commands through a launcher (implements `greenroom.workers.exec.starter.CommandStarter`)."""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.exec.starter import GroupStarter, OnEnd, Running
from greenroom.workers.sandbox.launcher import Child, Launcher
from greenroom.workers.sandbox.policy import Confinement


class FreeStarter:
    """Starts commands without a sandbox: as plain children, or through the launcher if they want a terminal."""

    def __init__(self, groups: ProcessGroups, launcher: Callable[[], Launcher]) -> None:
        self._plain = GroupStarter(groups)
        self._launched = LaunchedStarter(launcher, None)

    async def start(
        self, command: CommandSpec, stdout: int, stderr: int, on_end: OnEnd, stdin: int | None = None
    ) -> Running:
        """Start a command as all starters do."""
        starter = self._launched if command.terminal else self._plain
        return await starter.start(command, stdout, stderr, on_end, stdin)


class LaunchedStarter:
    """Starts commands under one confinement or none. The launcher is created with the first of them."""

    def __init__(self, launcher: Callable[[], Launcher], confinement: Confinement | None) -> None:
        self._launcher = launcher
        self._confinement = confinement
        self.limits: tuple[str, ...] = ()
        """Protections that the confinement does not provide on this system, or only at a cost, by the last command."""

    async def start(
        self, command: CommandSpec, stdout: int, stderr: int, on_end: OnEnd, stdin: int | None = None
    ) -> Running:
        """Start a command. Raises `SandboxUnavailableError` where this system cannot confine it, else as all do."""
        confinement = None if self._confinement is None else self._confinement.present()
        child = await self._launcher().spawn(
            command.argv,
            command.cwd,
            command.environment,
            stdout=stdout,
            stderr=stderr,
            stdin=stdout if command.terminal else stdin,
            terminal=command.terminal,
            confinement=confinement,
            limit=command.timeout,
        )
        self.limits = (*child.limits, *(() if confinement is None else confinement.aliases()))
        return _Launched(child, on_end)


GIT_IN_FOREIGN_PLACES: Final = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.bareRepository",
    "GIT_CONFIG_VALUE_0": "explicit",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_PAGER": "cat",
}
"""Environment variables for git (git-config(1), git(1)): it ignores bare repositories that are not named explicitly,
takes no optional locks, and fetches nothing."""


class ReadOnlyStarter:
    """Starts commands that were approved automatically, with a read-only file system whatever they start."""

    def __init__(self, launcher: Callable[[], Launcher], confinement: Confinement) -> None:
        self._launched = LaunchedStarter(launcher, confinement)

    async def start(
        self, command: CommandSpec, stdout: int, stderr: int, on_end: OnEnd, stdin: int | None = None
    ) -> Running:
        """Start a command. Raises as `LaunchedStarter`."""
        environment = {**command.environment, **GIT_IN_FOREIGN_PLACES}
        return await self._launched.start(replace(command, environment=environment), stdout, stderr, on_end, stdin)


class _Launched:
    def __init__(self, child: Child, on_end: OnEnd) -> None:
        self._child = child
        self._on_end = on_end
        self._waiting = asyncio.get_running_loop().create_task(self._wait(), name="launched command")

    def send(self, number: signal.Signals) -> None:
        self._child.send(number)

    def kill(self) -> None:
        self._child.kill()

    async def _wait(self) -> None:
        self._on_end(await self._child.wait())
