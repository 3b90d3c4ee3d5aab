"""Access tokens of MCP servers: which clients get them, and how often they are renewed."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from greenroom.broker.clock import Clock
from greenroom.broker.mcp_login.keeper import FORCED_PAUSE, McpKeeper
from greenroom.broker.mcp_login.record import OURS, credential_key
from greenroom.protocol.internal.broker.answers import AuthError, McpBearer
from greenroom.protocol.internal.broker.questions import GetMcpBearer
from greenroom.workers.model.credentials.channel import CredentialError
from tests.broker.mcp_servers import NAME, Guarded, stored
from tests.broker.stages import Stage, play

Scene = Callable[[Guarded, McpKeeper], Awaitable[None]]


class StillClock(Clock):
    """Stands still until it is moved."""

    now = 1_900_000_000.0

    def monotonic(self) -> float:
        return self.now

    def _system_time(self) -> float:
        return self.now


def log_in(home: Any, guarded: Guarded, lasts: float | None, **more: object) -> dict[str, Any]:
    """Put a login into the home's file, with an unknown member."""
    grant = guarded.grant()
    ours = {
        "token_endpoint": f"{guarded.origin}/auth/token",
        "resource": guarded.url,
        "issuer": f"{guarded.origin}/auth",
    }
    record = {
        "server_name": NAME,
        "server_url": guarded.url,
        "client_id": "client-1",
        "access_token": grant["access_token"],
        "refresh_token": grant["refresh_token"],
        "scopes": ["read"],
        "odd": {"x": 1},
        OURS: ours,
        **more,
    }
    if lasts is not None:
        record["expires_at"] = int((StillClock.now + lasts) * 1000)
    record = {name: value for name, value in record.items() if value is not None}
    with open(f"{home}/.credentials.json", "w") as file:
        json.dump({credential_key(NAME, guarded.url): record, "other|0": {"kept": True}}, file)
    with open(f"{home}/config.toml", "w") as file:
        file.write(guarded.config)
    return record


def playing(home: Any, scene: Scene) -> None:
    async def run() -> None:
        async with Guarded() as guarded, asyncio.timeout(30):
            await scene(guarded, McpKeeper(str(home), (), StillClock()))

    asyncio.run(run())


def question(guarded: Guarded, rejected: str | None = None) -> GetMcpBearer:
    return GetMcpBearer(server=NAME, url=guarded.url, rejected=rejected)


async def served(keeper: McpKeeper, asked: GetMcpBearer) -> McpBearer:
    answer = await keeper.bearer(asked)
    assert isinstance(answer, McpBearer), answer
    return answer


async def refused(keeper: McpKeeper, asked: GetMcpBearer) -> AuthError:
    answer = await keeper.bearer(asked)
    assert isinstance(answer, AuthError)
    return answer


def test_a_bearer_that_lasts_is_served_as_it_is(tmp_path: Any) -> None:
    async def scene(guarded: Guarded, keeper: McpKeeper) -> None:
        for lasts in (31, None):
            record = log_in(tmp_path, guarded, lasts)
            assert (await served(keeper, question(guarded))).token == record["access_token"]
        assert guarded.asked == []

    playing(tmp_path, scene)


@pytest.mark.parametrize("keepers", [1, 3])
def test_a_bearer_that_runs_out_is_renewed_once_for_all(tmp_path: Any, keepers: int) -> None:
    """Also where several instances share the home."""

    async def scene(guarded: Guarded, keeper: McpKeeper) -> None:
        record = log_in(tmp_path, guarded, 29)
        all_keepers = [keeper, *(McpKeeper(str(tmp_path), (), StillClock()) for _ in range(keepers - 1))]
        answers = await asyncio.gather(*(served(one, question(guarded)) for one in all_keepers for _ in range(20)))
        assert guarded.count("refresh_token") == 1
        (token,) = {answer.token for answer in answers}
        assert token in guarded.valid - {record["access_token"]}
        now = stored(tmp_path)
        kept = now[credential_key(NAME, guarded.url)]
        assert kept["access_token"] == token
        assert kept["refresh_token"] in guarded.refresh_tokens
        assert (kept["odd"], kept[OURS], now["other|0"]) == ({"x": 1}, record[OURS], {"kept": True})

    playing(tmp_path, scene)


def test_a_refused_bearer_is_renewed_once_and_not_again_right_away(tmp_path: Any) -> None:
    async def scene(guarded: Guarded, keeper: McpKeeper) -> None:
        log_in(tmp_path, guarded, 3600)
        first = await served(keeper, question(guarded))
        answers = await asyncio.gather(*(served(keeper, question(guarded, first.serial)) for _ in range(10)))
        assert guarded.count("refresh_token") == 1
        second = answers[0]
        assert {answer.serial for answer in answers} == {second.serial}
        assert (await served(keeper, question(guarded, first.serial))).serial == second.serial
        error = await refused(keeper, question(guarded, second.serial))
        assert (error.code, guarded.count("refresh_token")) == ("reauth_required", 1)
        assert f"greenroom mcp login {NAME}" in str(error.user_text)
        StillClock.now += FORCED_PAUSE
        await served(keeper, question(guarded, second.serial))
        assert guarded.count("refresh_token") == 2

    playing(tmp_path, scene)


@pytest.mark.parametrize(
    ("refusal", "code", "asked"),
    [
        ((400, {"error": "invalid_grant"}), "reauth_required", 1),
        ((401, {"error": "invalid_client"}), "reauth_required", 1),
        ((503, {}), "transient", 2),
        ((429, {"error": "slow_down"}), "transient", 2),
        ((200, {"token_type": "Bearer"}), "transient", 2),
        ((200, {"access_token": "x", "token_type": "mac"}), "transient", 2),
    ],
)
def test_a_login_that_is_over_says_so_and_is_not_tried_again(
    tmp_path: Any, refusal: tuple[int, dict[str, Any]], code: str, asked: int
) -> None:
    async def scene(guarded: Guarded, keeper: McpKeeper) -> None:
        record = log_in(tmp_path, guarded, 0)
        guarded.refuse_refresh = refusal
        errors = [await refused(keeper, question(guarded)) for _ in range(2)]
        assert [error.code for error in errors] == [code, code]
        assert guarded.count("refresh_token") == asked
        assert (f"`greenroom mcp login {NAME}`" in str(errors[0].user_text)) is (code == "reauth_required")
        assert record["refresh_token"] not in str(errors[0])
        assert stored(tmp_path)[credential_key(NAME, guarded.url)] == record

    playing(tmp_path, scene)


def test_only_servers_of_the_configuration_get_a_bearer(tmp_path: Any) -> None:
    async def scene(guarded: Guarded, keeper: McpKeeper) -> None:
        log_in(tmp_path, guarded, 3600)
        for asked in (
            GetMcpBearer(server=NAME, url="https://evil.example/mcp"),
            GetMcpBearer(server="other", url=guarded.url),
        ):
            assert (await refused(keeper, asked)).code == "not_found"
        for line in (
            "enabled = false",
            'bearer_token_env_var = "T"',
            "http_headers = { authorization = 'x' }",
            "env = 5",
        ):
            (tmp_path / "config.toml").write_text(f"{guarded.config}{line}\n")
            assert (await refused(keeper, question(guarded))).code == "not_found"
        (tmp_path / "config.toml").write_text("")
        assert (await refused(keeper, question(guarded))).code == "not_found"
        by_command_line = McpKeeper(
            str(tmp_path),
            (f'mcp_servers.{NAME}.url="{guarded.url}"', "mcp_oauth_credentials_store=file"),
            StillClock(),
        )
        await served(by_command_line, question(guarded))

    playing(tmp_path, scene)


def test_a_bearer_does_not_travel_in_the_clear(tmp_path: Any) -> None:
    """Not even where Codex has put a login of such a server."""

    async def scene(guarded: Guarded, keeper: McpKeeper) -> None:
        record = log_in(tmp_path, guarded, 3600)
        url = "http://mcp.example/mcp"
        (tmp_path / ".credentials.json").write_text(json.dumps({credential_key(NAME, url): record}))
        (tmp_path / "config.toml").write_text(guarded.config.replace(guarded.url, url))
        assert (await refused(keeper, GetMcpBearer(server=NAME, url=url))).code == "not_found"

    playing(tmp_path, scene)


def test_without_a_login_the_user_is_told_how_to_make_one(tmp_path: Any) -> None:
    async def scene(guarded: Guarded, keeper: McpKeeper) -> None:
        log_in(tmp_path, guarded, 3600)
        os.unlink(tmp_path / ".credentials.json")
        error = await refused(keeper, question(guarded))
        assert (error.code, error.user_text) == ("signed_out", f"log in with `greenroom mcp login {NAME}`")
        (tmp_path / ".credentials.json").write_text("{")
        assert (await refused(keeper, question(guarded))).code == "store_malformed"

    playing(tmp_path, scene)


def test_a_login_of_codex_is_renewed_where_its_server_says(tmp_path: Any) -> None:
    async def scene(guarded: Guarded, keeper: McpKeeper) -> None:
        log_in(tmp_path, guarded, 0, **{OURS: None})
        await served(keeper, question(guarded))
        assert guarded.count("refresh_token") == 1

    playing(tmp_path, scene)


def test_a_renewal_goes_on_though_nobody_waits_for_it_any_more(tmp_path: Any) -> None:
    async def scene(guarded: Guarded, keeper: McpKeeper) -> None:
        record = log_in(tmp_path, guarded, 0)
        asking = asyncio.create_task(keeper.bearer(question(guarded)))
        while not keeper._refreshes:
            await asyncio.sleep(0)
        asking.cancel()
        await keeper.close(10)
        assert stored(tmp_path)[credential_key(NAME, guarded.url)]["access_token"] != record["access_token"]

    playing(tmp_path, scene)


def test_workers_get_access_tokens_from_the_brokers_process_and_nothing_else(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        async with Guarded() as guarded:
            record = log_in(stage.home, guarded, -(10.0**9))
            workers = await stage.workers(8)
            bearers = await asyncio.gather(*(worker.get_mcp_bearer(NAME, guarded.url) for worker in workers))
            assert guarded.count("refresh_token") == 1
            (bearer,) = set(bearers)
            assert bearer.token in guarded.valid - {record["access_token"]}
            kept = stored(stage.home)[credential_key(NAME, guarded.url)]
            assert kept["refresh_token"] not in str(bearer) + stage.house.log()
            assert bearer.token not in repr(bearer) + stage.house.log()
            with pytest.raises(CredentialError, match="no MCP server"):
                await workers[0].get_mcp_bearer(NAME, "https://evil.example")

    play(tmp_path, scene)
