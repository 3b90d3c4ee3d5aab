"""Logins of MCP servers that clients begin: each is told of once, and what it brings is stored by the broker."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from greenroom.broker.mcp_login import logins
from greenroom.broker.mcp_login.logins import INTERRUPTED, TIMED_OUT, OpenMcpLogins
from greenroom.broker.mcp_login.record import credential_key
from greenroom.protocol.internal.broker.answers import AuthError, LoginStarted
from greenroom.protocol.internal.broker.broadcasts import McpLoginComplete
from greenroom.protocol.internal.broker.questions import McpLoginStart
from greenroom.supervisor.processes.broker_client import BrokerError
from tests.broker.mcp_servers import NAME, Guarded, stored
from tests.broker.stages import Stage, play
from tests.support.loop import on_loop

Ended: TypeAlias = "asyncio.Queue[McpLoginComplete]"
Scene: TypeAlias = Callable[[Guarded, OpenMcpLogins, Ended], Awaitable[None]]
MORE = """
[mcp_servers.prog]
command = "x"
[mcp_servers.token]
url = "https://x"
bearer_token_env_var = "T"
[mcp_servers.lost]
url = "http://127.0.0.1:1/mcp"
"""


def question(login_id: str = "login-1", server: str = NAME, timeout_s: int = 60) -> McpLoginStart:
    return McpLoginStart(server=server, login_id=login_id, timeout_s=timeout_s)


async def scene(home: Path, act: Scene) -> None:
    ended: Ended = asyncio.Queue()
    async with Guarded() as guarded:
        (home / "config.toml").write_text(guarded.config + MORE)
        open_logins = OpenMcpLogins(str(home), (), ended.put_nowait)
        try:
            async with asyncio.timeout(20):
                await act(guarded, open_logins, ended)
        finally:
            await open_logins.close()


async def begin(open_logins: OpenMcpLogins, asked: McpLoginStart) -> LoginStarted:
    started = await open_logins.start(asked)
    assert isinstance(started, LoginStarted), started
    return started


@on_loop
async def test_a_login_is_stored_and_told_of(tmp_path: Path) -> None:
    async def act(guarded: Guarded, open_logins: OpenMcpLogins, ended: Ended) -> None:
        started = await begin(open_logins, question())
        assert (await guarded.browse(started.url))[0] == 200
        assert await ended.get() == McpLoginComplete(login_id="login-1", success=True)
        assert stored(tmp_path)[credential_key(NAME, guarded.url)]["access_token"] in guarded.valid

    await scene(tmp_path, act)


@pytest.mark.parametrize(
    ("back", "error"),
    [
        ({"error": "access_denied"}, "the login was refused: access_denied"),
        ({"code": ""}, "the browser brought no code"),
    ],
)
@on_loop
async def test_a_login_that_is_refused_says_why(tmp_path: Path, back: dict[str, str], error: str) -> None:
    async def act(guarded: Guarded, open_logins: OpenMcpLogins, ended: Ended) -> None:
        guarded.callback = back
        await guarded.browse((await begin(open_logins, question())).url)
        assert await ended.get() == McpLoginComplete(login_id="login-1", success=False, error=error)
        assert not (tmp_path / ".credentials.json").exists()

    await scene(tmp_path, act)


@on_loop
async def test_several_at_once_end_each_for_itself_and_there_are_only_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "AT_ONCE", 2)

    async def act(guarded: Guarded, open_logins: OpenMcpLogins, ended: Ended) -> None:
        await begin(open_logins, question("late", timeout_s=1))
        quick = await begin(open_logins, question("quick"))
        refused = await open_logins.start(question("third"))
        assert isinstance(refused, AuthError)
        assert refused.code == "login_failed"
        await guarded.browse(quick.url)
        told = {one.login_id: one.error for one in [await ended.get(), await ended.get()]}
        assert told == {"late": TIMED_OUT, "quick": None}
        await begin(open_logins, question("fourth"))

    await scene(tmp_path, act)


@on_loop
async def test_those_that_are_being_begun_count_among_those_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "AT_ONCE", 2)

    async def act(_guarded: Guarded, open_logins: OpenMcpLogins, _ended: Ended) -> None:
        names = ("one", "two", "three", "four")
        answers = await asyncio.gather(*(open_logins.start(question(name)) for name in names))
        assert [type(answer) for answer in answers] == [LoginStarted, LoginStarted, AuthError, AuthError]

    await scene(tmp_path, act)


@pytest.mark.parametrize(
    ("server", "code"), [("gone", "not_found"), ("prog", "not_found"), ("token", "not_found"), ("lost", "login_failed")]
)
@on_loop
async def test_what_has_no_login_is_refused(tmp_path: Path, server: str, code: str) -> None:
    async def act(_: Guarded, open_logins: OpenMcpLogins, ended: Ended) -> None:
        refused = await open_logins.start(question(server=server))
        assert isinstance(refused, AuthError)
        assert (refused.code, bool(refused.user_text), ended.empty()) == (code, True, True)

    await scene(tmp_path, act)


@on_loop
async def test_the_end_of_the_broker_ends_those_under_way(tmp_path: Path) -> None:
    async def act(_: Guarded, open_logins: OpenMcpLogins, ended: Ended) -> None:
        await begin(open_logins, question())
        await open_logins.close()
        assert ended.get_nowait() == McpLoginComplete(login_id="login-1", success=False, error=INTERRUPTED)

    await scene(tmp_path, act)


def test_the_supervisor_is_told_once_also_when_the_broker_dies(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        ended: Ended = asyncio.Queue()
        async with Guarded() as guarded:
            (tmp_path / "config.toml").write_text(guarded.config)
            with pytest.raises(BrokerError, match="No MCP server named 'gone'"):
                await stage.link.mcp_login_start(question(server="gone"), ended.put_nowait)
            started = await stage.link.mcp_login_start(question("first"), ended.put_nowait)
            await guarded.browse(started.url)
            assert await ended.get() == McpLoginComplete(login_id="first", success=True)
            await stage.link.mcp_login_start(question("second"), ended.put_nowait)
            stage.house.kill()
            stage.restart()
            lost = await ended.get()
            assert (lost.login_id, lost.success, lost.error) == ("second", False, "auth broker terminated")
            assert ended.empty()

    play(tmp_path, act)
