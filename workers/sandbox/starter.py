"""Starts commands in a sandbox, for whoever runs commands (`workers.commands.starter.Starter`)."""

import asyncio
from collections.abc import Callable

from workers.commands.command import Command
from workers.commands.starter import OnEnd, Running
from workers.sandbox.launcher import Child, Launcher
from workers.sandbox.policy import Confinement


class ConfinedStarter:
    """Starts commands under one confinement. The launcher comes into being with the first of them."""

    def __init__(self, launcher: Callable[[], Launcher], confinement: Confinement) -> None:
        self._launcher = launcher
        self._confinement = confinement

    async def start(self, command: Command, stdout: int, stderr: int, on_end: OnEnd) -> Running:
        """Start a command. Raises `SandboxUnavailableError` where this system cannot confine it, else as all do."""
        child = await self._launcher().spawn(
            command.argv,
            command.cwd,
            command.environment,
            stdout=stdout,
            stderr=stderr,
            confinement=self._confinement,
        )
        return _Confined(child, on_end)


class _Confined:
    def __init__(self, child: Child, on_end: OnEnd) -> None:
        self._child = child
        self._on_end = on_end
        self._waiting = asyncio.get_running_loop().create_task(self._wait(), name="confined command")

    def kill(self) -> None:
        self._child.kill()

    async def _wait(self) -> None:
        self._on_end(await self._child.wait())
