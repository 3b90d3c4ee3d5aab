"""A provider's program is run once for all callers, and cannot harm them."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from greenroom.broker.token_commands import TokenCommands
from greenroom.protocol.internal.broker.answers import AuthError, ProviderToken
from greenroom.protocol.internal.broker.questions import GetProviderToken, TokenCommand
from tests.broker.homes import FakeClock

Scene = Callable[["Commands"], Awaitable[None]]


class Commands:
    """The commands of a home, and a clock for them."""

    def __init__(self, home: Any) -> None:
        self.home = home
        self.clock = FakeClock()
        self.commands = TokenCommands(str(home), {"PATH": os.environ["PATH"], "VISIBLE": "1"}, self.clock)

    async def ask(self, command: TokenCommand, rejected: int | None = None) -> ProviderToken | AuthError:
        return await self.commands.get(GetProviderToken(command=command, rejected=rejected))

    async def token(self, command: TokenCommand, rejected: int | None = None) -> ProviderToken:
        answer = await self.ask(command, rejected)
        assert isinstance(answer, ProviderToken), answer
        return answer

    async def complaint(self, command: TokenCommand) -> str:
        answer = await self.ask(command)
        assert isinstance(answer, AuthError)
        assert answer.code == "command_failed"
        return answer.user_text or ""


def play(home: Any, scene: Scene) -> None:
    async def run() -> None:
        commands = Commands(home)
        try:
            await scene(commands)
        finally:
            await commands.commands.close()

    asyncio.run(run())


def shell(script: str, **more: Any) -> TokenCommand:
    return TokenCommand(command="/bin/sh", args=("-c", script), **more)


COUNTING = "echo x >> runs; printf '  token-%s\\n' $(wc -l < runs)"


def test_one_run_for_all(tmp_path: Any) -> None:
    async def scene(commands: Commands) -> None:
        answers = await asyncio.gather(*(commands.token(shell(COUNTING)) for _ in range(20)))
        assert {answer.token for answer in answers} == {"token-1"}
        assert (await commands.token(shell(COUNTING))).token == "token-1"

    play(tmp_path, scene)


def test_a_token_is_kept_for_its_time(tmp_path: Any) -> None:
    async def scene(commands: Commands) -> None:
        await commands.token(shell(COUNTING))
        commands.clock.ahead += 299.0
        assert (await commands.token(shell(COUNTING))).token == "token-1"
        commands.clock.ahead += 1.0
        assert (await commands.token(shell(COUNTING))).token == "token-2"
        forever = shell(COUNTING, refresh_interval_ms=0)
        assert (await commands.token(forever)).token == "token-3"
        commands.clock.ahead += 1e9
        assert (await commands.token(forever)).token == "token-3"

    play(tmp_path, scene)


def test_a_refused_token_is_replaced_once(tmp_path: Any) -> None:
    async def scene(commands: Commands) -> None:
        first = await commands.token(shell(COUNTING))
        again = await asyncio.gather(*(commands.token(shell(COUNTING), first.serial) for _ in range(10)))
        assert {answer.token for answer in again} == {"token-2"}
        assert (await commands.token(shell(COUNTING), first.serial)).token == "token-2"

    play(tmp_path, scene)


def test_a_caller_that_leaves_does_not_stop_the_run(tmp_path: Any) -> None:
    async def scene(commands: Commands) -> None:
        hasty = asyncio.create_task(commands.ask(shell(COUNTING)))
        patient = asyncio.create_task(commands.token(shell(COUNTING)))
        await asyncio.sleep(0)
        hasty.cancel()
        assert (await patient).token == "token-1"

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (TokenCommand(command="no-such-program"), "failed to start: No such file or directory"),
        (shell("exit 3"), "exited with status 3: "),
        (shell("echo no luck >&2; exit 3"), "exited with status 3: no luck"),
        (shell("echo sk-1234567890abc >&2; exit 3"), "exited with status 3: <redacted>"),
        (shell("echo"), "produced an empty token"),
        (shell("printf '\\377'"), "wrote non-UTF-8 data to stdout"),
        (shell("sleep 60", timeout_ms=100), "timed out after 100 ms"),
    ],
)
def test_what_can_go_wrong(tmp_path: Any, command: TokenCommand, text: str) -> None:
    async def scene(commands: Commands) -> None:
        assert await commands.complaint(command) == f"provider auth command `{command.command}` {text}"

    play(tmp_path, scene)


def test_a_failure_is_not_kept(tmp_path: Any) -> None:
    async def scene(commands: Commands) -> None:
        command = shell("test -e ready && echo token")
        assert await commands.complaint(command)
        (tmp_path / "ready").touch()
        assert (await commands.token(command)).token == "token"

    play(tmp_path, scene)


def test_where_and_how_it_runs(tmp_path: Any) -> None:
    """No shell, empty input, the home as directory, a relative path from there, and no secrets around it."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "token"
    program.write_text('#!/bin/sh\ncat; echo "$1|$PWD|$VISIBLE|$OPENAI_API_KEY"')
    program.chmod(0o700)

    async def scene(commands: Commands) -> None:
        told = await commands.token(TokenCommand(command="bin/token", args=("$HOME *",)))
        assert told.token == f"$HOME *|{tmp_path}|1|"
        elsewhere = await commands.token(TokenCommand(command="./token", cwd=str(tmp_path / "bin")))
        assert elsewhere.token == f"|{tmp_path / 'bin'}|1|"

    play(tmp_path, scene)


def test_a_run_ends_with_the_broker(tmp_path: Any) -> None:
    """P6: with everything that it started."""

    os.mkfifo(tmp_path / "pid")

    async def scene(commands: Commands) -> None:
        asked = asyncio.create_task(commands.ask(shell("echo $$ > pid; sleep 60", timeout_ms=60_000)))
        pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
        await commands.commands.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        asked.cancel()

    play(tmp_path, scene)
