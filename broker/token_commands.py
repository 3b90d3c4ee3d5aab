"""Runs the programs that print the bearer of a provider: one run is shared by all requests."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec

from greenroom.broker.clock import Clock
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.internal.broker.answers import AuthError, ProviderToken
from greenroom.protocol.internal.broker.questions import GetProviderToken, TokenCommand
from greenroom.protocol.secrecy import Secret
from greenroom.runtime.log.log import redact
from greenroom.runtime.search_path import with_absolute_path

LONGEST_COMPLAINT: Final = 240
"""Characters of a program's standard error that are passed on."""


class CommandFailedError(GreenroomError):
    """A program printed no token. The text is for people."""


class _Known(msgspec.Struct):
    """The cached token of one command."""

    serial: int = 0
    token: Secret | None = None
    until: float = 0.0
    """Monotonic time until which the token is used."""
    running: asyncio.Task[None] | None = None
    failure: str | None = None


class TokenCommands:
    """The commands that were requested so far."""

    def __init__(self, home: str, environment: Mapping[str, str], clock: Clock) -> None:
        self._home = home
        self._environment = with_absolute_path(environment)
        self._clock = clock
        self._known: dict[TokenCommand, _Known] = {}

    async def get(self, question: GetProviderToken) -> ProviderToken | AuthError:
        """Return the cached token, or run the program."""
        known = self._known.setdefault(question.command, _Known())
        if question.rejected is not None and question.rejected == known.serial:
            known.token = None
        if known.token is None or self._clock.monotonic() >= known.until:
            await asyncio.shield(self._join(question.command, known))
        if known.failure is not None or known.token is None:
            return AuthError(code="command_failed", user_text=known.failure)
        return ProviderToken(serial=known.serial, token=known.token.reveal())

    async def close(self) -> None:
        """End the programs that still run."""
        running = [known.running for known in self._known.values() if known.running is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _join(self, command: TokenCommand, known: _Known) -> "asyncio.Task[None]":
        if known.running is None or known.running.done():
            known.running = asyncio.get_running_loop().create_task(self._renew(command, known))
        return known.running

    async def _renew(self, command: TokenCommand, known: _Known) -> None:
        try:
            token = await _run(command, self._home, self._environment)
        except CommandFailedError as error:
            known.token, known.failure = None, f"provider auth command `{command.command}` {error}"
            return
        interval = command.refresh_interval_ms / 1000 or float("inf")
        known.serial, known.token, known.failure = known.serial + 1, token, None
        known.until = self._clock.monotonic() + interval


async def _run(command: TokenCommand, home: str, environment: Mapping[str, str]) -> Secret:
    """Run a program and return what it prints. Raises `CommandFailedError`."""
    process = _start(command, command.cwd or home, environment)
    try:
        output, complaint = await asyncio.to_thread(process.communicate, timeout=command.timeout_ms / 1000)
    except subprocess.TimeoutExpired:
        raise CommandFailedError(f"timed out after {command.timeout_ms} ms") from None
    finally:
        _end(process)
    if process.returncode != 0:
        text = redact(complaint.decode(errors="replace").strip())[:LONGEST_COMPLAINT]
        raise CommandFailedError(f"exited with status {process.returncode}: {text}")
    return _token(output)


def _start(command: TokenCommand, cwd: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program in a group of its own. asyncio's own start of a process cannot be cancelled (it hangs)."""
    try:
        return subprocess.Popen(
            [_program(command.command, cwd), *command.args],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailedError(f"failed to start: {error.strerror}") from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that still runs, and its process group."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _token(output: bytes) -> Secret:
    try:
        text = output.decode().strip()
    except UnicodeDecodeError:
        raise CommandFailedError("wrote non-UTF-8 data to stdout") from None
    if not text:
        raise CommandFailedError("produced an empty token")
    return Secret(text)


def _program(command: str, cwd: str) -> str:
    """Return the program's path: a relative one is relative to its directory, a bare name is searched for on `PATH`."""
    return os.path.join(cwd, command) if os.sep in command else command
