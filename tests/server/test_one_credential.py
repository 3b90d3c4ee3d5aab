"""One credential for all: every change counts for the next request of every conversation, and nothing blocks (P4)."""

import socket
from collections.abc import Iterator

import pytest

from greenroom.demo.request_log import credential_digest
from greenroom.demo.script import CommandStep, Text, rule
from tests.broker.homes import EXPIRED, FRESH, tokens, write
from tests.support import processes
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.model import Gate
from tests.support.server import Server
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
LOGIN = "requires_openai_auth = true"
FIRST_KEY = "sk-test-first-0123456789abcdefghijklmn"
SECOND_KEY = "sk-test-second-0123456789abcdefghijkl"
CONVERSATIONS = 3


@pytest.fixture
def silent_issuer() -> Iterator[str]:
    """An issuer that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def log_in(stage: Stage, lasts: float = FRESH, serial: int = 0) -> str:
    """Do what a login by another program does, and return what the model's server should see of it."""
    content = tokens("refresh-1", lasts, serial=serial)
    write(str(stage.home.path), content)
    held = content["tokens"]
    assert isinstance(held, dict)
    return credential_digest(str(held["access_token"]))


def credentials_of_replies(stage: Stage, server: Server, threads: list[str]) -> set[str | None]:
    """Let every conversation say something, and return what its requests carried."""
    before = len(stage.model.requests())
    for call in [server.client.reply(thread, "hello") for thread in threads]:
        assert text(server.client.result(call)) == "Good day."
    asked = stage.model.requests()[before:]
    assert len(asked) == len(threads)
    return {request.credential for request in asked}


def test_every_change_is_used_by_the_next_request_of_every_conversation(stage: Stage, engine: str) -> None:
    stage.play(HELLO, more=LOGIN)
    first = log_in(stage)
    server = stage.serve(engine)
    client = server.client
    results = [client.result(call) for call in [client.codex("hello") for _ in range(CONVERSATIONS)]]
    threads = [thread_id(result) for result in results]
    assert {request.credential for request in stage.model.requests()} == {first}
    second = log_in(stage, serial=1)
    assert credentials_of_replies(stage, server, threads) == {second}, "another program has written the file"
    client.result(client.request("loginApiKey", {"apiKey": FIRST_KEY}))
    assert credentials_of_replies(stage, server, threads) == {credential_digest(FIRST_KEY)}, "a login with a key"
    client.result(client.request("loginApiKey", {"apiKey": SECOND_KEY}))
    assert credentials_of_replies(stage, server, threads) == {credential_digest(SECOND_KEY)}, "another key"
    client.result(client.request("logoutChatGpt"))
    before = len(stage.model.requests())
    for call in [client.reply(thread, "hello") for thread in threads]:
        result = client.result(call)
        assert kind(result) == "unauthorized"
        assert text(result).startswith("Not logged in: ")
    assert len(stage.model.requests()) == before, "nothing is sent after a logout"
    third = log_in(stage, serial=2)
    assert credentials_of_replies(stage, server, threads) == {third}, "a login by another program"


@pytest.mark.parametrize(
    ("preferred", "more", "environment", "bearer", "account"),
    [
        ("chatgpt", LOGIN, {}, "access", "acc-123"),
        ("apikey", LOGIN, {}, FIRST_KEY, None),
        ("chatgpt", 'env_key = "MOCK_API_KEY"', {"MOCK_API_KEY": SECOND_KEY}, SECOND_KEY, None),
        ("chatgpt", f'{LOGIN}\nenv_key = "MOCK_API_KEY"', {}, "access", "acc-123"),
    ],
)
def test_a_request_carries_what_the_login_calls_for(
    stage: Stage, preferred: str, more: str, environment: dict[str, str], bearer: str, account: str | None
) -> None:
    """Scenarios 18 to 23: a store with a key and the tokens of a personal plan."""
    content = tokens("refresh-1") | {"OPENAI_API_KEY": FIRST_KEY}
    write(str(stage.home.path), content)
    held = content["tokens"]
    assert isinstance(held, dict)
    further = f'{more}\nhttp_headers = {{ "X-Team" = "blue" }}'
    stage.play(HELLO, top=f'preferred_auth_method = "{preferred}"', more=further)
    client = stage.serve("fork", CODEX_INTERNAL_ORIGINATOR_OVERRIDE="my_program", **environment).client
    thread = thread_id(client.result(client.codex("hello")))
    (asked,) = stage.model.requests()
    assert asked.credential == credential_digest(held["access_token"] if bearer == "access" else bearer)
    assert asked.headers.get("chatgpt-account-id") == account
    assert (asked.headers["session_id"], asked.headers["originator"]) == (thread, "my_program")
    assert asked.headers["x-team"] == "blue"
    assert (asked.json["store"], asked.json["stream"]) == (False, True)


def test_a_killed_broker_fails_none_of_twenty_running_turns(stage: Stage, engine: str) -> None:
    """Half of them ask for a bearer while it is away, and all of them ask the next one."""
    gates = (Gate(), Gate())
    model = stage.play(
        *(
            rule(name, [Text("waiting "), gate.wait, CommandStep(("true",))], [Text("done")])
            for name, gate in zip(("early", "late"), gates, strict=True)
        ),
        more=LOGIN,
    )
    login = log_in(stage)
    server = stage.serve(engine)
    turns = 10 if engine == "fork" else 3  # each spawned worker imports everything anew
    calls = [server.client.codex(name) for name in ("early", "late") for _ in range(turns)]
    model.until(lambda seen: seen.requests >= len(calls))
    for gate in gates:
        (former,) = until(lambda: processes.named(server.tree(), "gr-broker"))
        former.kill()
        assert not processes.remaining([former], 2.0)
        model.open(gate)
    assert [text(server.client.result(call)) for call in calls] == ["done"] * len(calls)
    assert {request.credential for request in model.requests()} == {login}
    assert len(model.requests()) == 2 * len(calls)


def test_a_status_holds_nothing_up_whatever_the_issuer_does(stage: Stage, silent_issuer: str) -> None:
    stage.play(HELLO)
    log_in(stage, EXPIRED)
    client = stage.serve("fork", GREENROOM_ISSUER=silent_issuer).client
    asked = [
        client.request("getAuthStatus", {"includeToken": True, "refreshToken": True}),
        client.request("account/read", {"refreshToken": True}),
    ]
    assert text(client.result(client.codex("hello"))) == "Good day."
    assert client.ask("ping")["result"] == {}
    assert client.ask("tools/list")["result"]
    client.result(client.request("logoutChatGpt"))
    assert [client.result(request) for request in asked] == [
        {"preferredAuthMethod": "chatgpt", "requiresOpenaiAuth": False},
        {"account": None, "requiresOpenaiAuth": False},
    ], "and a logout is what they tell of"
