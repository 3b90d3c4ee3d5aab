"""Logins of MCP servers that a client begins: the answer, then how it ended, in whatever order the broker tells."""

import json
from typing import Any, cast

import pytest
from msgspec import json as encoder

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.internal.broker.answers import AuthError, LoginStarted
from greenroom.protocol.internal.broker.body import AuthErrorCode
from greenroom.protocol.internal.broker.broadcasts import McpLoginComplete
from greenroom.protocol.internal.broker.questions import McpLoginStart
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Request
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.mcp_servers.login_methods import McpLoginMethods
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.request_params import RefusedError
from greenroom.supervisor.frontend.request_queue import RequestQueue
from greenroom.supervisor.processes.broker_client import BrokerClient, BrokerError, OnMcpLogin
from tests.broker.mcp_servers import NAME, Served
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.loop import on_loop, until
from tests.support.stage import Stage

METHOD = "mcpServer/oauth/login"
THREAD = "0199a213-81c0-7800-8aa1-bbab2a035a53"


class Broker:
    """Answers as it is told; `ends_early`: the login has ended before its answer is there."""

    def __init__(self, failure: AuthErrorCode | None = None, *, ends_early: bool = False) -> None:
        self.failure = failure
        self.ends_early = ends_early
        self.asked: list[McpLoginStart] = []
        self.complete: OnMcpLogin

    async def mcp_login_start(self, question: McpLoginStart, on_complete: OnMcpLogin) -> LoginStarted:
        self.asked.append(question)
        self.complete = on_complete
        if self.failure is not None:
            raise BrokerError(AuthError(code=self.failure, user_text="the reason"))
        if self.ends_early:
            on_complete(McpLoginComplete(login_id=question.login_id, success=True))
        return LoginStarted(login_id=question.login_id, url="http://auth/x")


class Sessions:
    """Knows no thread."""

    def live(self, conversation_id: ConversationId) -> None:
        raise RefusedError(INVALID_REQUEST, f"thread not found: {conversation_id}")


class Client:
    """One connection."""

    def __init__(self, broker: Broker) -> None:
        self.told: list[dict[str, Any]] = []
        self.channel = AppServerChannel(lambda line: self.told.append(json.loads(line)), str)
        sessions = cast("ThreadSessions", Sessions())
        methods = McpLoginMethods(cast("BrokerClient", broker), sessions, self.channel)
        self.queue = RequestQueue(self.channel)
        self.handlers = self.queue.handlers(methods.methods)

    async def ask(self, **params: object) -> dict[str, Any]:
        (request,) = self.channel.peer.receive(encoder.encode({"id": 1, "method": METHOD, "params": params}) + b"\n")
        assert isinstance(request, Request)
        self.handlers[METHOD](request)
        await until(lambda: any("id" in message for message in self.told))
        return next(message for message in self.told if "id" in message)


@pytest.mark.parametrize("ends_early", [False, True])
@on_loop
async def test_the_end_is_told_after_the_answer_that_names_it(ends_early: bool) -> None:
    broker = Broker(ends_early=ends_early)
    client = Client(broker)
    result = (await client.ask(name="docs", scopes=["a"]))["result"]
    (asked,) = broker.asked
    assert (asked.server, asked.scopes, asked.timeout_s) == ("docs", ("a",), 300)
    assert result == {"authorizationUrl": "http://auth/x", "loginId": asked.login_id}
    if not ends_early:
        assert len(client.told) == 1
        broker.complete(McpLoginComplete(login_id=asked.login_id, success=False, error="no"))
    answer, told = client.told
    assert "result" in answer
    assert told["method"] == "mcpServer/oauthLogin/completed"
    expected = {"success": ends_early, "error": None if ends_early else "no"}
    assert told["params"] == {"name": "docs", "threadId": None, "loginId": asked.login_id, **expected}


@pytest.mark.parametrize(("asked", "given"), [(None, 300), (0, 1), (-1, 1), (7, 7), (10**9, 3600)])
@on_loop
async def test_the_time_that_the_user_has_is_bounded(asked: int | None, given: int) -> None:
    broker = Broker()
    await Client(broker).ask(name="docs", timeoutSecs=asked)
    assert broker.asked[0].timeout_s == given


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, INVALID_PARAMS),
        ({"name": 5}, INVALID_PARAMS),
        ({"name": "docs", "scopes": "a"}, INVALID_PARAMS),
        ({"name": "docs", "timeoutSecs": "1"}, INVALID_PARAMS),
        ({"name": "docs", "clientRegistration": "cimd"}, INVALID_PARAMS),
        ({"name": "docs", "environmentId": "e"}, INVALID_PARAMS),
        ({"name": "docs", "threadId": "x"}, INVALID_REQUEST),
        ({"name": "docs", "threadId": THREAD}, INVALID_REQUEST),
    ],
)
@on_loop
async def test_what_does_not_fit_is_refused_before_the_broker_is_asked(params: dict[str, object], code: int) -> None:
    broker = Broker()
    assert (await Client(broker).ask(**params))["error"]["code"] == code
    assert broker.asked == []


@pytest.mark.parametrize(
    ("failure", "code"),
    [("not_found", INVALID_REQUEST), ("login_failed", INTERNAL_ERROR), ("transient", INTERNAL_ERROR)],
)
@on_loop
async def test_a_login_that_cannot_be_begun_says_why(failure: AuthErrorCode, code: int) -> None:
    client = Client(Broker(failure))
    error = (await client.ask(name="docs"))["error"]
    assert (error["code"], error["message"]) == (code, "failed to log in to MCP server 'docs': the reason")
    assert len(client.told) == 1


def test_a_client_logs_in_to_a_server_of_the_configuration(stage: Stage, app: Serve) -> None:
    with Served() as served:
        stage.play(top='mcp_oauth_credentials_store = "file"', more=served.guarded.config_table)
        client = app().app
        started = client.result(client.request(METHOD, {"name": NAME, "timeoutSecs": 60}))
        served.open_url(started["authorizationUrl"])
        told = client.told("mcpServer/oauthLogin/completed")
        assert told == {**told, "name": NAME, "success": True, "loginId": started["loginId"]}
        assert client.refused(METHOD, {"name": "gone"})[0] == INVALID_REQUEST
        for token in served.guarded.valid | served.guarded.refresh_tokens:
            assert token not in json.dumps(client.messages) + stage.told()
