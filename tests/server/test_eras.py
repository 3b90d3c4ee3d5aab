"""Clients of both eras are served on the same connection, each request in the era in which it comes."""

from typing import Any

import msgspec
import pytest

from greenroom.demo.script import Stall, Text, rule
from tests.support.client import ME, Client, text
from tests.support.freezer import Freezer
from tests.support.modern import META, Modern
from tests.support.stage import Stage

RULES = (rule("hello", [Text("Good day.")]), rule("stall", [Text("hm"), Stall()]))
UNSUPPORTED = -32022


@pytest.fixture
def client(stage: Stage) -> Client:
    """A client that has said nothing yet."""
    stage.play(*RULES)
    return stage.start().client


@pytest.fixture(scope="module")
def guest(shared_stage: Stage) -> Client:
    """A client without a handshake, which several tests share."""
    shared_stage.play(*RULES)
    return shared_stage.start().client


def test_a_client_may_start_without_a_handshake(stage: Stage, engine: str) -> None:
    stage.play(*RULES)
    client = Modern(stage.start("--engine", engine).client)
    discovered = client.result(client.request("server/discover"))
    assert discovered["supportedVersions"] == ["2026-07-28"]
    assert discovered["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "codex-mcp-server"
    tools = client.result(client.request("tools/list"))
    assert [tool["name"] for tool in tools["tools"]][:2] == ["codex", "codex-reply"]
    result = client.result(client.call("codex", prompt="hello"))
    assert (text(result), result["resultType"]) == ("Good day.", "complete")
    assert not [message for message in client.messages if "method" in message], "nothing but answers"


def test_the_newest_era_is_answered_before_any_other_process_runs(stage: Stage) -> None:
    stage.play(*RULES)
    server = stage.start()
    client = Modern(server.client)
    with Freezer(server.pid):
        given_up = client.call("codex", prompt="hello")
        client.cancel(given_up)
        client.result(client.request("server/discover"))
    assert text(client.result(client.call("codex", prompt="hello"))) == "Good day."
    assert not [answer for answer in client.raw.answers() if answer["id"] == given_up]


def test_a_probe_changes_nothing_for_the_handshake(client: Client) -> None:
    assert Modern(client).result(Modern(client).request("server/discover", request_id="probe"))
    handshake = client.initialize()
    assert handshake["protocolVersion"] == "2025-06-18"
    result = client.result(client.codex("hello"))
    assert text(result) == "Good day."
    assert set(result) == {"content", "structuredContent"}
    assert [message for message in client.messages if message.get("method") == "codex/event"]


def test_a_request_is_served_in_the_era_in_which_it_comes(client: Client) -> None:
    client.initialize()
    modern = Modern(client)
    assert "resultType" in modern.result(modern.request("tools/list"))
    assert "resultType" not in client.ask("tools/list")["result"]


@pytest.mark.parametrize("method", ["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"])
def test_what_only_the_handshake_eras_have_is_unknown_without_one(guest: Client, method: str) -> None:
    modern = Modern(guest)
    assert modern.answer(modern.request(method))["error"]["code"] == -32601


def test_what_only_the_newest_era_has_is_unknown_in_the_others(client: Client) -> None:
    client.initialize()
    assert client.ask("server/discover")["error"]["code"] == -32601


def test_an_envelope_is_seen_however_its_slashes_are_written(client: Client) -> None:
    line = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}})
    client.send_bytes(line.replace(b"/", rb"\/") + b"\n")
    assert client.result(1)["supportedVersions"] == ["2026-07-28"]


def test_an_unknown_tool_is_an_error_of_the_protocol(client: Client) -> None:
    modern = Modern(client)
    assert modern.answer(modern.call("no such tool"))["error"]["code"] == -32602
    assert client.result(client.call("no such tool"))["isError"] is True


def test_a_handshake_with_an_envelope_is_a_handshake(client: Client) -> None:
    params: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": ME, "_meta": META}
    assert client.ask("initialize", params)["result"]["protocolVersion"] == "2025-11-25"


def test_an_unknown_version_is_refused_with_the_known_ones(guest: Client) -> None:
    params = {"_meta": {**META, "io.modelcontextprotocol/protocolVersion": "2031-01-01"}}
    error = guest.ask("tools/list", params)["error"]
    assert (error["code"], error["data"]) == (UNSUPPORTED, {"supported": ["2026-07-28"], "requested": "2031-01-01"})


def test_a_cancelled_call_is_not_answered_and_its_turn_ends(client: Client, stage: Stage) -> None:
    modern = Modern(client)
    given_up = modern.call("codex", prompt="stall")
    stage.model.until(lambda now: now.streaming == 1)
    modern.cancel(given_up)
    stage.model.until(lambda now: now.abandoned == 1)
    assert text(modern.result(modern.call("codex", prompt="hello"))) == "Good day."
    assert not [answer for answer in client.answers() if answer["id"] == given_up]
