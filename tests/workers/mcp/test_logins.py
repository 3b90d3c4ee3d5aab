"""A server that wants a login is used with what the broker has of it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from greenroom.config.tables.servers import McpServer
from greenroom.protocol.internal.broker.answers import AuthError, McpBearer
from greenroom.workers.model.credentials.channel import CredentialError
from tests.broker.mcp_servers import NAME, Guarded
from tests.workers.mcp.cast import Hosted, hosted, running


class Broker:
    """Hands out tokens that are in `tokens`, the next one once the present one is refused."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.asked: list[str | None] = []
        self.error = AuthError(code="signed_out", user_text=f"log in with `greenroom mcp login {NAME}`")

    async def __call__(self, name: str, url: str, rejected: str | None) -> McpBearer:
        self.asked.append(rejected)
        if rejected is not None and self.tokens and self.tokens[0] == rejected:
            del self.tokens[0]
        if not self.tokens:
            raise CredentialError(self.error)
        return McpBearer(token=self.tokens[0], serial=self.tokens[0])


def playing(broker: Broker, scene: Callable[[Guarded, Hosted], Awaitable[None]], **more: object) -> None:
    async def test() -> None:
        async with Guarded() as guarded:
            guarded.valid = {"one", "two"}
            server = McpServer(url=guarded.url, **more)  # type: ignore[arg-type]
            async with hosted({NAME: server}, bearer=broker, variables={"T": "one"}) as host:
                await host.servers.ready()
                await scene(guarded, host)

    running(test)


def test_requests_carry_the_bearer_and_a_refused_one_is_replaced() -> None:
    broker = Broker("stale", "one", "two")

    async def scene(guarded: Guarded, host: Hosted) -> None:
        assert host.names == [f"{NAME}__go"]
        assert "done" in (await host.call(f"{NAME}__go")).text
        assert "stale" in broker.asked
        guarded.valid = {"two"}
        assert "done" in (await host.call(f"{NAME}__go")).text
        assert broker.asked.count("one") == 1
        assert guarded.count("mcp") >= 5

    playing(broker, scene)


def test_a_server_without_a_login_fails_and_says_how_to_log_in() -> None:
    async def scene(guarded: Guarded, host: Hosted) -> None:
        assert host.events.failures == {NAME: f"it answered 401 Unauthorized; log in with `greenroom mcp login {NAME}`"}

    playing(Broker(), scene)


def test_a_login_that_is_withdrawn_is_told_to_the_model_and_the_user() -> None:
    broker = Broker("one")

    async def scene(guarded: Guarded, host: Hosted) -> None:
        guarded.valid = set()
        broker.error = AuthError(code="reauth_required", user_text=f"log in again with `greenroom mcp login {NAME}`")
        async with asyncio.timeout(20):
            output = await host.call(f"{NAME}__go")
        assert f"log in again with `greenroom mcp login {NAME}`" in output.text

    playing(broker, scene)


def test_a_missing_right_is_told_with_the_command_that_asks_for_it() -> None:
    async def scene(guarded: Guarded, host: Hosted) -> None:
        guarded.wanted_scope = "read write"
        output = await host.call(f"{NAME}__go")
        assert f"`greenroom mcp login {NAME} --scopes read,write`" in output.text

    playing(Broker("one"), scene)


@pytest.mark.parametrize("more", [{"bearer_token_env_var": "T"}, {"http_headers": {"authorization": "Bearer one"}}])
def test_what_the_table_says_wins_over_a_login(more: dict[str, object]) -> None:
    broker = Broker("two")

    async def scene(guarded: Guarded, host: Hosted) -> None:
        assert host.names == [f"{NAME}__go"]
        assert (broker.asked, {asked["token"] for _, asked in guarded.asked}) == ([], {"one"})

    playing(broker, scene, **more)
