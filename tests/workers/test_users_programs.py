"""The user's own programs are looked up where the user has put them, never in the workspace in which they run."""

import asyncio
import os
from pathlib import Path

import pytest

from greenroom.broker.token_commands import TokenCommands
from greenroom.config.section import check
from greenroom.config.tables.servers import McpServer
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.internal.broker.answers import ProviderToken
from greenroom.protocol.internal.broker.questions import GetProviderToken, TokenCommand
from greenroom.workers.conversation.notifier import Notifier
from greenroom.workers.mcp.transport.launch import program
from tests.broker.homes import FakeClock

RELATIVE = ["", ".", "bin", "./bin"]


def place(directory: Path, word: str) -> str:
    """Put a program `say` into a directory, which prints a word and leaves it behind, and return the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    say = directory / "say"
    say.write_text(f"#!/bin/sh\necho {word}\necho {word} >> '{directory.parent}/said'\n")
    say.chmod(0o755)
    return str(directory)


@pytest.fixture(params=RELATIVE)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A search path whose first entry stands for the workspace, and whose second is the user's own."""
    for directory in ("work", "work/bin"):
        place(tmp_path / directory, "planted")
    own = place(tmp_path / "own" / "bin", "own")
    return os.pathsep.join((request.param, own, os.defpath))


def planted(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "said", tmp_path / "work" / "said") if path.exists()]


def test_of_notify(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        notifier = Notifier(ConversationId("c"), ["say"], {"PATH": path})
        notifier.turn_ended(TurnId("t"), str(tmp_path / "work"), [], None)
        await asyncio.wait_for(notifier._idle.wait(), 20)
        await notifier.close()

    asyncio.run(scene())
    assert (tmp_path / "own" / "said").read_text() == "own\n"
    assert planted(tmp_path) == []


def test_of_a_provider(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        commands = TokenCommands(str(tmp_path), {"PATH": path}, FakeClock())
        command = TokenCommand(command="say", cwd=str(tmp_path / "work"))
        told = await commands.get(GetProviderToken(command=command))
        assert isinstance(told, ProviderToken), told
        assert told.token == "own"
        await commands.close()

    asyncio.run(scene())
    assert planted(tmp_path) == []


def test_of_an_mcp_server(tmp_path: Path, path: str) -> None:
    started = program(check(McpServer, {"command": "say"}), str(tmp_path / "work"), {"PATH": path}, {})
    assert all(map(os.path.isabs, started.environment["PATH"].split(os.pathsep)))
    named = check(McpServer, {"command": "say", "env": {"PATH": "bin"}})
    assert program(named, "/work", {"PATH": path}, {}).environment["PATH"] == "bin", "the user has said so"
