"""A client reads and changes the credential on its connection, hears of each change once, and no log repeats a key."""

import asyncio
import json
import os
import uuid
from typing import Any, cast

import pytest

from greenroom.protocol.internal.broker.answers import InForce
from greenroom.protocol.internal.broker.broadcasts import AuthChanged
from greenroom.protocol.jsonrpc import Request
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.conversation_api.account_methods import AccountMethods
from greenroom.supervisor.frontend.request_queue import RequestQueue
from greenroom.supervisor.processes.broker_client import BrokerClient
from tests.support.client import Client, Message
from tests.support.stage import Stage

KEY = "sk-test-abcdefghijklmnopqrstuvwxyz0123456789"
OTHER_KEY = "sk-test-9876543210zyxwvutsrqponmlkjihgfedcba"
FROM_ENVIRONMENT = "sk-test-from-the-environment-0123456789"
STATUS_METHODS = ["codex/event/auth_status_change", "authStatusChange", "account/updated"]


def serve(stage: Stage, engine: str = "fork", **environment: str) -> Client:
    """Start a server that says all that it ever says."""
    return stage.serve(engine, "--log-level", "debug", **environment).client


def status(client: Client, **params: object) -> Message:
    result: Message = client.result(client.request("getAuthStatus", params))
    return result


def notified(client: Client, since: int = 0) -> list[tuple[str, Any]]:
    """Return the notifications about credentials, up to now, that were read after so many messages."""
    client.ask("ping")
    heard = client.messages[since:]
    return [(message["method"], message["params"]) for message in heard if message.get("method") in STATUS_METHODS]


def changed_to(method: str | None) -> list[tuple[str, Any]]:
    """Return the notifications of one change, in order."""
    named = {} if method is None else {"authMethod": method}
    return [
        *((name, named) for name in STATUS_METHODS[:2]),
        ("account/updated", {"authMode": method, "planType": None}),
    ]


def stored(stage: Stage) -> Any:
    return json.loads((stage.home.path / "auth.json").read_text())


@pytest.fixture(autouse=True)
def configured(stage: Stage) -> None:
    stage.home.configure("http://127.0.0.1:9")


# Reading


def test_without_a_login_there_is_no_method(stage: Stage) -> None:
    client = serve(stage)
    signed_out = {"preferredAuthMethod": "chatgpt", "requiresOpenaiAuth": False}
    for params in ({}, {"includeToken": True}, {"includeToken": True, "refreshToken": True}):
        assert status(client, **params) == signed_out
    assert client.result(client.request("getAuthStatus")) == signed_out, "params may be left out"


def test_a_key_is_shown_only_on_demand(stage: Stage) -> None:
    client = serve(stage, OPENAI_API_KEY=FROM_ENVIRONMENT)
    known = {"authMethod": "apikey", "preferredAuthMethod": "chatgpt", "requiresOpenaiAuth": False}
    for params in ({}, {"includeToken": None}, {"includeToken": False, "refreshToken": True}):
        assert status(client, **params) == known
    assert status(client, includeToken=True) == {**known, "authToken": FROM_ENVIRONMENT}


def test_the_providers_demand_is_told(stage: Stage) -> None:
    stage.home.configure("http://127.0.0.1:9", more="requires_openai_auth = true")
    assert status(serve(stage))["requiresOpenaiAuth"] is True


def test_a_broken_configuration_leaves_the_status_readable(stage: Stage) -> None:
    client = serve(stage)
    stage.home.config.write_text("model = [")
    assert status(client) == {"preferredAuthMethod": "chatgpt"}


# Changing


def test_a_login_is_answered_and_then_announced(stage: Stage, engine: str) -> None:
    client = serve(stage, engine)
    before = len(client.messages)
    request = client.request("loginApiKey", {"apiKey": KEY})
    assert client.result(request) == {}
    assert client.messages[-1]["id"] == request, "nothing is announced before the answer"
    assert notified(client, before) == changed_to("apikey")
    assert stored(stage)["OPENAI_API_KEY"] == KEY
    assert os.stat(stage.home.path / "auth.json").st_mode & 0o777 == 0o600
    assert status(client, includeToken=True)["authToken"] == KEY


def test_a_logout_is_answered_and_then_announced(stage: Stage) -> None:
    client = serve(stage)
    client.result(client.request("loginApiKey", {"apiKey": KEY}))
    notified(client)
    before = len(client.messages)
    request = client.request("logoutChatGpt")
    assert client.result(request) == {}
    assert client.messages[-1]["id"] == request
    assert notified(client, before) == changed_to(None)
    assert not (stage.home.path / "auth.json").exists()
    assert "authMethod" not in status(client)


def test_a_logout_falls_back_to_the_key_of_the_environment(stage: Stage) -> None:
    client = serve(stage, OPENAI_API_KEY=FROM_ENVIRONMENT)
    client.result(client.request("loginApiKey", {"apiKey": KEY}))
    notified(client)
    before = len(client.messages)
    client.result(client.request("logoutChatGpt"))
    assert notified(client, before) == changed_to("apikey")
    assert status(client, includeToken=True)["authToken"] == FROM_ENVIRONMENT


def test_a_logout_without_a_login_is_fine(stage: Stage) -> None:
    client = serve(stage)
    assert client.result(client.request("logoutChatGpt")) == {}
    assert notified(client) == changed_to(None)


def test_the_later_names_do_the_same(stage: Stage) -> None:
    client = serve(stage)
    assert client.result(client.request("account/read", {})) == {"account": None, "requiresOpenaiAuth": False}
    login = client.request("account/login/start", {"type": "apiKey", "apiKey": KEY})
    assert client.result(login) == {"type": "apiKey"}
    assert client.result(client.request("account/read", {}))["account"] == {"type": "apiKey"}
    assert status(client, includeToken=True)["authToken"] == KEY
    assert client.result(client.request("account/logout")) == {}
    assert client.result(client.request("account/read", {}))["account"] is None
    assert not (stage.home.path / "auth.json").exists()


def test_a_login_under_its_later_name_is_announced_once(stage: Stage) -> None:
    client = serve(stage)
    client.result(client.request("account/login/start", {"type": "apiKey", "apiKey": KEY}))
    assert notified(client) == changed_to("apikey")
    assert "authMethod" in status(client)
    assert notified(client) == changed_to("apikey"), "nor later"


def test_requests_are_answered_in_any_number_and_order(stage: Stage) -> None:
    client = serve(stage)
    logins = [client.request("loginApiKey", {"apiKey": key}) for key in (KEY, OTHER_KEY, KEY)]
    asked = [client.request("getAuthStatus", {}) for _ in range(5)]
    out = client.request("logoutChatGpt")
    for request in (*logins, *asked, out):
        client.result(request)
    assert [answer["id"] for answer in client.answers()].count(out) == 1
    client.result(client.request("loginApiKey", {"apiKey": OTHER_KEY}))
    assert status(client, includeToken=True)["authToken"] == OTHER_KEY


def test_what_another_program_writes_is_announced(stage: Stage) -> None:
    client = serve(stage)
    assert "authMethod" not in status(client)
    new = stage.home.path / "auth.json.foreign"
    new.write_text(json.dumps({"OPENAI_API_KEY": KEY}))
    new.rename(stage.home.path / "auth.json")
    client.until(lambda message: message.get("method") == "account/updated")
    assert notified(client) == changed_to("apikey")


class Link:
    """Answers as a broker would that has just put a key in force."""

    async def login_api_key(self, api_key: str) -> InForce:
        return InForce(mode="apikey")


LOGOUT = AuthChanged(
    generation=3, state="SIGNED_OUT", mode="none", identity_changed=True, mode_changed=True, reason="external"
)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("loginApiKey", {"apiKey": KEY}),
        ("account/login/start", {"type": "apiKey", "apiKey": KEY}),
    ],
)
def test_a_logout_elsewhere_is_announced_after_a_login_under_any_name(method: str, params: object) -> None:
    async def scene() -> list[Any]:
        written: list[bytes] = []
        channel = ClientChannel(written.append)
        peer, requests = channel.peer, RequestQueue(channel)
        accounts = AccountMethods(channel, requests, cast("BrokerClient", Link()), "chatgpt", lambda: None)
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        (request,) = peer.receive(line.encode() + b"\n")
        assert isinstance(request, Request)
        accounts.handlers[method](request)
        await asyncio.gather(*requests._tasks)
        written.clear()
        accounts.receive(LOGOUT)
        return [json.loads(line)["method"] for line in written]

    assert asyncio.run(scene()) == STATUS_METHODS


def test_a_logout_elsewhere_is_announced_although_nobody_ever_asked() -> None:
    written: list[bytes] = []

    async def scene() -> None:
        channel = ClientChannel(written.append)
        link = cast("BrokerClient", Link())
        AccountMethods(channel, RequestQueue(channel), link, "chatgpt", lambda: None).receive(LOGOUT)

    asyncio.run(scene())
    assert [json.loads(line)["method"] for line in written] == STATUS_METHODS


# Refusing


MISFITS: list[tuple[str, object]] = [
    ("loginApiKey", {"apiKey": [KEY]}),
    ("loginApiKey", {"api_key": KEY}),
    ("loginApiKey", {"apiKey": {"secret": KEY}}),
    ("loginApiKey", [KEY]),
    ("loginApiKey", KEY),
    ("loginApiKey", None),
    ("account/login/start", {"type": [KEY], "apiKey": KEY}),
    ("account/login/start", {"apiKey": KEY}),
    ("account/login/start", {"type": "apiKey"}),
    ("account/login/start", {"type": KEY, "apiKey": KEY}),
    ("getAuthStatus", {"includeToken": KEY}),
    ("getAuthStatus", [KEY]),
    ("cancelLoginChatGpt", {}),
    ("cancelLoginChatGpt", {"loginId": 5}),
    ("cancelLoginChatGpt", {"loginId": KEY}),
    ("account/login/cancel", {}),
    ("account/login/cancel", {"loginId": KEY}),
    ("account/read", {"refreshToken": KEY}),
]


def test_params_that_do_not_fit_are_refused_without_repeating_them(stage: Stage) -> None:
    client = serve(stage)
    for method, params in MISFITS:
        error = client.ask(method, params)["error"]
        assert error["code"] == -32602, (method, params)
        assert "invalid params" in error["message"]
    assert notified(client) == []
    assert KEY not in repr(client.lines) + stage.told()
    assert not (stage.home.path / "auth.json").exists()


def test_a_login_that_does_not_exist_cannot_be_cancelled(stage: Stage) -> None:
    client, nobodys = serve(stage), str(uuid.uuid4())
    answer = client.ask("cancelLoginChatGpt", {"loginId": nobodys})
    assert answer["error"] == {"code": -32600, "message": f"login id not found: {nobodys}"}
    assert client.ask("account/login/cancel", {"loginId": nobodys})["result"] == {"status": "notFound"}


@pytest.mark.parametrize(
    ("setting", "refused"),
    [
        ("api", [("loginChatGpt", None), ("account/login/start", {"type": "chatgpt"})]),
        ("chatgpt", [("loginApiKey", {"apiKey": KEY}), ("account/login/start", {"type": "apiKey", "apiKey": KEY})]),
    ],
)
def test_a_login_that_is_switched_off_is_refused(
    stage: Stage, setting: str, refused: list[tuple[str, dict[str, str] | None]]
) -> None:
    stage.home.configure("http://127.0.0.1:9", top=f'forced_login_method = "{setting}"')
    client = serve(stage, OPENAI_API_KEY=FROM_ENVIRONMENT)
    for method, params in refused:
        error = client.ask(method, params)["error"]
        assert error["code"] == -32600
        assert "`forced_login_method`" in error["message"]
    assert ("authMethod" in status(client)) is (setting == "api"), "nor is what is there already used"
    assert not (stage.home.path / "auth.json").exists()


def test_a_key_that_cannot_be_saved_is_refused_and_not_announced(stage: Stage) -> None:
    (stage.home.path / "auth.json").mkdir()
    client = serve(stage)
    answer = client.ask("loginApiKey", {"apiKey": KEY})
    assert answer["error"]["code"] == -32603
    assert answer["error"]["message"].startswith("failed to save api key: ")
    assert notified(client) == []
    assert KEY not in repr(client.lines) + stage.told()


# Keeping quiet


def test_no_key_is_logged_or_told_unasked(stage: Stage) -> None:
    client = serve(stage, "fork", OPENAI_API_KEY=FROM_ENVIRONMENT)
    for method, params in (
        ("loginApiKey", {"apiKey": KEY}),
        ("getAuthStatus", {}),
        ("account/login/start", {"type": "apiKey", "apiKey": OTHER_KEY}),
        ("account/read", {"refreshToken": True}),
        ("logoutChatGpt", None),
    ):
        client.result(client.request(method, params))
    notified(client)
    stage.servers[-1].leave()
    said = repr(client.lines) + stage.told()
    assert stage.told(), "the server does log at this level"
    assert [key for key in (KEY, OTHER_KEY, FROM_ENVIRONMENT) if key in said] == []
