"""What a client may ask before, beside and without a conversation: each is answered, and at once."""

import pytest

from greenroom.demo.script import Text, rule
from tests.support.client import ME, Client, text
from tests.support.freezer import Freezer
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
INITIALIZE = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": ME}
UNKNOWN = [
    "tasks/list",
    "roots/list",
    "sampling/createMessage",
    "elicitation/create",
    "what ever",
    "",
]


@pytest.fixture
def client(stage: Stage) -> Client:
    """A client that has said nothing yet."""
    stage.play(HELLO)
    return stage.start().client


@pytest.fixture(scope="module")
def guest(shared_stage: Stage) -> Client:
    """A client without a handshake, which several tests share."""
    shared_stage.play(HELLO)
    return shared_stage.start().client


def test_everything_but_calls_is_answered_before_any_other_process_runs(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    server = stage.start("--engine", engine)
    client = server.client
    with Freezer(server.pid):
        call = client.codex("hello")
        result = client.initialize()
        assert result["serverInfo"]["name"] == "codex-mcp-server"
        assert client.ask("ping")["result"] == {}
        assert [tool["name"] for tool in client.ask("tools/list")["result"]["tools"]][:2] == ["codex", "codex-reply"]
        assert client.ask("sampling/createMessage")["error"]["code"] == -32601
        assert not [answer for answer in client.answers() if answer["id"] == call]
    assert text(client.result(call)) == "Good day."


def test_a_call_can_be_cancelled_before_any_other_process_runs(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    server = stage.start("--engine", engine)
    client = server.client
    with Freezer(server.pid):
        call = client.codex("hello")
        client.cancel(call)
        result = client.result(call)
    assert result["isError"] is True
    assert text(result) == "Turn aborted: interrupted"
    assert text(client.result(client.codex("hello"))) == "Good day."


def test_the_handshake_names_the_version_the_server_and_its_tools(client: Client) -> None:
    result = client.initialize()
    assert result["protocolVersion"] == "2025-06-18"
    assert result["capabilities"] == {
        "tools": {"listChanged": False},
        "resources": {"subscribe": True, "listChanged": True},
        "prompts": {"listChanged": True},
        "completions": {},
        "logging": {},
    }
    assert result["serverInfo"]["user_agent"].endswith("(promises; 1)")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ],
)
def test_the_version_is_the_clients_where_it_is_known(client: Client, asked: str, answered: str) -> None:
    assert client.initialize(asked)["protocolVersion"] == answered


def test_a_second_initialize_is_refused_and_changes_nothing(client: Client) -> None:
    client.initialize()
    answer = client.ask("initialize", {**INITIALIZE, "protocolVersion": "2024-11-05"})
    assert answer["error"] == {"code": -32600, "message": "initialize called more than once"}
    assert client.ask("ping")["result"] == {}


def test_an_initialize_that_cannot_be_read_is_refused_and_does_not_count(client: Client) -> None:
    unreadable: tuple[object, ...] = (None, {}, {"protocolVersion": 1}, [], "x", {**INITIALIZE, "clientInfo": {}})
    for params in unreadable:
        assert client.ask("initialize", params)["error"]["code"] == -32602, params
    assert client.initialize()["protocolVersion"] == "2025-06-18"


def test_all_works_without_a_handshake(client: Client) -> None:
    assert client.ask("ping")["result"] == {}
    assert text(client.result(client.codex("hello"))) == "Good day."


def test_every_unknown_request_is_refused_by_name(client: Client) -> None:
    client.initialize()
    for method in UNKNOWN:
        error = client.ask(method, {"uri": "file:///x", "name": "x", "level": "info"})["error"]
        assert error == {"code": -32601, "message": f"method not found: {method}", "data": {"method": method}}


def test_the_list_of_tools_ignores_its_cursor(guest: Client) -> None:
    plain = guest.ask("tools/list")["result"]
    assert "nextCursor" not in plain
    for params in ({}, {"cursor": "x"}, {"cursor": 5}, None):
        assert guest.ask("tools/list", params)["result"] == plain


@pytest.mark.parametrize("params", [None, [], "x", {}, {"name": 5}, {"arguments": {}}])
def test_a_call_of_no_form_is_refused(guest: Client, params: object) -> None:
    assert guest.ask("tools/call", params)["error"]["code"] == -32602
    assert guest.ask("ping")["result"] == {}


def test_an_unknown_tool_is_named(guest: Client) -> None:
    result = guest.result(guest.call("codex-fly", prompt="hello"))
    assert result["isError"] is True
    assert text(result) == "Unknown tool 'codex-fly'"


def test_notifications_are_never_answered(guest: Client) -> None:
    before = len(guest.messages)
    for method in ("notifications/initialized", "notifications/progress", "notifications/roots/list_changed", "x"):
        guest.notify(method, {"anything": 1})
    guest.notify("ping")
    for requests in ({"requestId": 99}, {"requestId": "99"}, {"requestId": None}, {}, [1], None):
        guest.notify("notifications/cancelled", requests)
    assert guest.ask("ping")["result"] == {}
    assert len(guest.messages) == before + 1


def test_answers_to_requests_that_nobody_made_are_ignored(guest: Client) -> None:
    before = len(guest.messages)
    guest.send({"id": 0, "result": {"action": "accept"}})
    guest.send({"id": "0", "error": {"code": 1, "message": "no"}})
    guest.send({"id": 5, "result": None})
    assert guest.ask("ping")["result"] == {}
    assert len(guest.messages) == before + 1


def test_lines_that_are_no_messages_are_answered_and_the_next_one_is_served(guest: Client) -> None:
    hostile = {
        b"hello": -32700,
        b'{"jsonrpc":"2.0","id":1,"method":"ping"': -32700,
        b"\xff\xfe": -32700,
        b'{"jsonrpc":"2.0","id":1,"method":"p\xffng"}': -32700,
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]': -32600,
        b"[]": -32600,
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}': -32600,
        b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}': -32600,
        b'{"jsonrpc":"2.0","id":true,"method":"ping"}': -32600,
        b'{"jsonrpc":"1.0","method":"ping"}': -32600,
        b"{}": -32600,
        b"7": -32600,
        b"null": -32600,
    }
    for line, code in hostile.items():
        guest.send_bytes(line + b"\n")
        answer = guest.read()
        assert answer["id"] is None, line
        assert answer["error"]["code"] == code, line
        assert guest.ask("ping")["result"] == {}, line


def test_blank_lines_carriage_returns_and_missing_versions_do_not_matter(guest: Client) -> None:
    guest.send_bytes(b'\n\r\n  \n{"id":"a","method":"ping"}\r\n')
    assert guest.read() == {"jsonrpc": "2.0", "id": "a", "result": {}}


def test_a_request_in_single_bytes_is_a_request(guest: Client) -> None:
    for byte in b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n':
        guest.send_bytes(bytes([byte]))
    assert guest.read()["result"] == {}


def test_ids_come_back_as_they_were_written(guest: Client) -> None:
    for raw in (
        b"0",
        b"-1",
        b"123456789012345678901234567890",
        b'""',
        b'"a\\u0062\\n\\"\\/"',
        '"é\U0001f600"'.encode(),
    ):
        guest.send_bytes(b'{"jsonrpc":"2.0","id":%b,"method":"ping"}\n' % raw)
        guest.read()
        assert guest.lines[-1] == b'{"jsonrpc":"2.0","id":%b,"result":{}}' % raw


def test_an_id_that_is_in_use_is_refused_to_a_second_request(client: Client) -> None:
    for _ in range(2):
        client.call("codex", 1, prompt="hello")
    assert client.next_answer()["error"]["code"] == -32600
    assert text(client.next_answer()["result"]) == "Good day."
    client.call("codex", 1, prompt="hello")
    assert text(client.next_answer()["result"]) == "Good day.", "the id is free again"


def test_batches_are_served_to_clients_of_the_one_version_that_has_them(client: Client) -> None:
    client.initialize("2025-03-26")
    client.send_bytes(b'[{"id":71,"method":"ping"},{"method":"x"},{"id":72,"method":"y"},5]\n')
    assert client.answer(71)["result"] == {}
    assert client.answer(72)["error"]["code"] == -32601
    assert client.read()["error"]["code"] == -32600


def test_an_opening_batch_of_requests_is_answered_in_order(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    client = stage.start("--engine", engine).client
    for _ in range(500):
        client.request("ping")
    client.initialize()
    assert [answer["id"] for answer in client.answers()] == list(range(1, 502))
