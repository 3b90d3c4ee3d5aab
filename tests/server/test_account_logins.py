"""A login through the client's connection, with a broker and a browser: the messages and their order."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from greenroom.protocol.internal.broker.questions import Logout
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, Request
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.conversation_api.account_methods import AccountMethods
from greenroom.supervisor.frontend.request_queue import RequestQueue
from tests.broker.homes import read
from tests.broker.login.test_logins import free_port
from tests.broker.stages import Stage, play
from tests.support.loop import until

COMPLETED = ["codex/event/login_chat_gpt_complete", "loginChatGptComplete", "account/login/completed"]
CHANGED = ["codex/event/auth_status_change", "authStatusChange", "account/updated"]
NOT_COMPLETED = "Login server error: Login was not completed"


class Connection:
    """A client's connection to one broker."""

    def __init__(self, stage: Stage) -> None:
        self.said: list[dict[str, Any]] = []
        channel = ClientChannel(self._hear)
        self._peer = channel.peer
        self.requests = RequestQueue(channel)
        self.accounts = AccountMethods(channel, self.requests, stage.link, "chatgpt", lambda: None)
        stage.link._on_broadcast = self.accounts.receive
        self._last_id = 0

    def _hear(self, line: bytes) -> None:
        self.said.append(json.loads(line))

    async def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Return the response to a request."""
        self._last_id += 1
        line = json.dumps({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params})
        (request,) = self._peer.receive(line.encode() + b"\n")
        assert isinstance(request, Request)
        self.accounts.handlers[method](request)
        await until(lambda: any(message.get("id") == request.id for message in self.said))
        (answer,) = (message for message in self.said if message.get("id") == request.id)
        return answer

    async def notified(self, count: int) -> list[str]:
        """Wait for so many notifications in all, and return their names."""
        await until(lambda: len(self.names) >= count)
        return self.names

    @property
    def names(self) -> list[str]:
        return [message["method"] for message in self.said if "method" in message]

    def told(self, method: str) -> list[dict[str, Any]]:
        return [message["params"] for message in self.said if message.get("method") == method]


def converse(home: Any, scene: Callable[[Stage, Connection], Awaitable[None]]) -> None:
    async def run(stage: Stage) -> None:
        connection = Connection(stage)
        try:
            await scene(stage, connection)
        finally:
            await connection.requests.close("over")

    play(home, run, None, spec_fields={"login_ports": (free_port(),)})


async def come_back(url: str) -> None:
    """Do what a browser does whose user has agreed."""
    query = parse_qs(urlsplit(url).query)
    async with (
        aiohttp.ClientSession() as browser,
        browser.get(f"{query['redirect_uri'][0]}?code=c&state={query['state'][0]}") as page,
    ):
        assert page.status == 200


def test_a_login_in_the_browser(tmp_path: Any) -> None:
    """Scenario 11, K16: the completion under all its names, then the status, which every process sees already."""

    async def scene(stage: Stage, client: Connection) -> None:
        started = (await client.ask("loginChatGpt"))["result"]
        assert set(started) == {"loginId", "authUrl"}
        await come_back(started["authUrl"])
        assert await client.notified(6) == [*COMPLETED, *CHANGED]
        assert client.told(COMPLETED[0]) == [{"loginId": started["loginId"], "success": True}]
        assert client.told(CHANGED[0]) == [{"authMethod": "chatgpt"}]
        assert client.told(CHANGED[2]) == [{"authMode": "chatgpt", "planType": "pro"}]
        assert (await client.ask("getAuthStatus"))["result"]["authMethod"] == "chatgpt"
        account = (await client.ask("account/read"))["result"]["account"]
        assert account == {"type": "chatgpt", "email": "user-1@example.com", "planType": "pro"}
        assert read(stage.home)["auth_mode"] == "chatgpt"

    converse(tmp_path, scene)


def test_a_login_that_is_cancelled_under_either_name(tmp_path: Any) -> None:
    """Scenario 17: the answer and one completion, and the port is free for the next."""

    async def scene(stage: Stage, client: Connection) -> None:
        first = (await client.ask("loginChatGpt"))["result"]["loginId"]
        assert (await client.ask("cancelLoginChatGpt", loginId=first))["result"] == {}
        assert (await client.ask("cancelLoginChatGpt", loginId=first))["error"]["code"] == -32600
        second = (await client.ask("account/login/start", type="chatgpt"))["result"]
        assert second["type"] == "chatgpt"
        asked = {"loginId": second["loginId"]}
        assert (await client.ask("account/login/cancel", **asked))["result"] == {"status": "canceled"}
        assert (await client.ask("account/login/cancel", **asked))["result"] == {"status": "notFound"}
        assert await client.notified(6) == [*COMPLETED, *COMPLETED]
        failed = {"success": False, "error": NOT_COMPLETED}
        assert client.told(COMPLETED[0]) == [{"loginId": first, **failed}, {**asked, **failed}]

    converse(tmp_path, scene)


def test_a_second_login_ends_the_first_and_a_logout_the_second(tmp_path: Any) -> None:
    async def scene(stage: Stage, client: Connection) -> None:
        logins = [(await client.ask("loginChatGpt"))["result"]["loginId"] for _ in range(2)]
        assert (await client.ask("logoutChatGpt"))["result"] == {}
        names = await client.notified(9)
        assert names == [*COMPLETED, *COMPLETED, *CHANGED]
        assert [told["loginId"] for told in client.told(COMPLETED[0])] == logins
        assert client.told(CHANGED[0]) == [{}]
        response = next(index for index, message in enumerate(client.said) if message.get("result") == {})
        change = next(index for index, message in enumerate(client.said) if message.get("method") == CHANGED[0])
        assert response < change, "the answer comes before the news"

    converse(tmp_path, scene)


def test_a_login_with_a_device_code(tmp_path: Any) -> None:
    """Scenario 40."""

    async def scene(stage: Stage, client: Connection) -> None:
        started = (await client.ask("account/login/start", type="chatgptDeviceCode"))["result"]
        assert started["verificationUrl"] == f"{stage.issuer.url}/codex/device"
        assert started["userCode"] == "ABCD-1234"
        assert await client.notified(6) == [*COMPLETED, *CHANGED]
        assert client.told(COMPLETED[2]) == [{"loginId": started["loginId"], "success": True}]

    converse(tmp_path, scene)


def test_a_request_that_breaks_is_answered(tmp_path: Any) -> None:
    """P1, whatever is wrong with us; the text does not repeat what the request holds."""

    async def scene(_: Stage, connection: Connection) -> None:
        async def broken(api_key: str) -> None:
            raise RuntimeError(api_key)

        connection.accounts._link.login_api_key = broken  # type: ignore[assignment]
        answer = await connection.ask("loginApiKey", apiKey="sk-never-shown")
        assert answer["error"]["code"] == INTERNAL_ERROR
        assert "sk-never-shown" not in json.dumps(answer)

    converse(tmp_path, scene)


def test_a_login_ends_with_its_broker(tmp_path: Any) -> None:
    """K27."""

    async def scene(stage: Stage, client: Connection) -> None:
        started = (await client.ask("loginChatGpt"))["result"]
        stage.house.kill()
        asked = asyncio.create_task(client.ask("logoutChatGpt"))
        await until(lambda: any(isinstance(question, Logout) for question, _ in stage.link._requests._open.values()))
        stage.link.broker_died()
        assert (await asked)["error"] == {"code": -32603, "message": "logout failed: auth broker terminated"}
        refused = await client.ask("loginChatGpt")
        assert refused["error"]["code"] == -32603
        assert refused["error"]["message"] == "failed to start login server: auth broker unavailable"
        assert await client.notified(3) == COMPLETED
        error = "Login server error: auth broker terminated"
        assert client.told(COMPLETED[0]) == [{"loginId": started["loginId"], "success": False, "error": error}]

    converse(tmp_path, scene)
