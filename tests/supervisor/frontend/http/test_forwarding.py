"""Two hosts of which one replaces the other pass requests on to where they belong, while sessions move between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from tests.support.http_host import BOTH, NEWEST, TOKEN, Host, HttpClient, host
from tests.support.loop import on_loop


class Pair(NamedTuple):
    """The old host, which is replaced, and the new one."""

    old: Host
    new: Host

    async def former_client(self) -> HttpClient:
        """Return a client with a session that has begun before the old host was replaced."""
        endpoint = self.old.listener._endpoint
        assert endpoint is not None
        endpoint.is_replaced = False
        client = await self.old.client()
        endpoint.is_replaced = True
        return client

    def at_new(self, client: HttpClient) -> HttpClient:
        """Return a client that goes on with the session of another at the new host."""
        again = self.new.bare(client.version)
        again.session_id = client.session_id
        return again

    def move(self) -> list[str]:
        """Move what is at rest to the new host, up to the moment before the old one is told that it was taken."""
        states = self.old.listener.sessions.give_away()
        for state in states:
            self.new.listener.sessions.take_over(state)
        return [state.id for state in states]


@asynccontextmanager
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with host() as old, host() as new:
        paths = []
        for name, one in (("old", old), ("new", new)):
            (tmp_path / name).mkdir()
            paths.append(await one.listener.take_passed_on(str(tmp_path / name)))
        old.listener.pass_on(paths[1], is_replaced=True)
        new.listener.pass_on(paths[0], is_replaced=False)
        yield Pair(old, new)


@on_loop
async def test_a_session_is_found_at_either_host_before_and_after_it_moves(tmp_path: Path) -> None:
    async with pair(tmp_path) as hosts:
        client = await hosts.former_client()
        again = hosts.at_new(client)
        assert (await again.ask(1, "ping"))["result"] == {}
        assert not hosts.new.sessions
        (moved,) = hosts.move()
        hosts.old.listener.sessions.given(moved)
        assert not hosts.old.sessions
        for one in (client, again):
            assert (await one.ask(2, "ping"))["result"] == {}
        assert await again.status("DELETE") == 204
        assert await client.status("DELETE") == 404


@on_loop
async def test_a_request_that_comes_while_its_session_moves_is_served(tmp_path: Path) -> None:
    async with pair(tmp_path) as hosts:
        client = await hosts.former_client()
        states = hosts.old.listener.sessions.give_away()
        again = hosts.at_new(client)
        asking = [asyncio.ensure_future(one.ask(3, "ping")) for one in (client, again)]
        await asyncio.sleep(0.1)  # until both wait at the old host, which nothing shows from outside
        assert not any(one.done() for one in asking)
        for state in states:
            hosts.new.listener.sessions.take_over(state)
            hosts.old.listener.sessions.given(state.id)
        assert [(await one)["result"] for one in asking] == [{}, {}]


@on_loop
async def test_what_begins_at_a_replaced_host_begins_at_the_new_one(tmp_path: Path) -> None:
    async with pair(tmp_path) as hosts:
        client = await hosts.old.client()
        assert [session.id for session in hosts.new.sessions] == [client.session_id]
        assert not hosts.old.sessions
        result = await (await client.call("c", "hello")).result("c")
        assert result["structuredContent"]["threadId"]


@on_loop
async def test_a_session_that_is_nowhere_is_not_looked_for_without_end(tmp_path: Path) -> None:
    async with pair(tmp_path) as hosts:
        for one in hosts:
            client = one.bare()
            client.session_id = "nobodys"
            assert await client.status("POST", {"jsonrpc": "2.0", "id": 1, "method": "ping"}) == 404


@on_loop
async def test_sessions_stay_where_they_are_if_the_new_host_ends(tmp_path: Path) -> None:
    async with pair(tmp_path) as hosts:
        client = hosts.old.bare()
        hosts.old.listener.pass_nothing_on()
        await client.initialize()
        hosts.old.listener.sessions.give_away()
        asking = asyncio.ensure_future(client.ask(1, "ping"))
        await asyncio.sleep(0)
        hosts.old.listener.pass_nothing_on()
        assert (await asking)["result"] == {}


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(None, 401), ("Bearer", 401), (f"Bearer {TOKEN}x", 401), (f"Basic {TOKEN}", 401), (f"Bearer {TOKEN}", 200)],
)
@on_loop
async def test_what_is_passed_on_needs_the_token_as_well(
    tmp_path: Path, authorization: str | None, status: int
) -> None:
    initialize = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {"protocolVersion": NEWEST, "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}},
    }
    headers = {"Accept": BOTH} if authorization is None else {"Accept": BOTH, "Authorization": authorization}
    async with host() as one:
        path = await one.listener.take_passed_on(str(tmp_path))
        connector = aiohttp.UnixConnector(path)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post("http://elsewhere/mcp", json=initialize, headers=headers) as answer,
        ):
            assert answer.status == status
