"""On a host a call that waits for its next round belongs to the user: any client with its state continues it."""

from typing import Any

import httpx2

from greenroom.demo.script import CommandStep, Quote, Stall, Text, rule
from tests.support.client import Message, kind, text, thread_id
from tests.support.host import Host, SocketClient, clients, hosting, status
from tests.support.http_process import hosting_http
from tests.support.model import Gate
from tests.support.modern import META, VERSION, Modern
from tests.support.stage import Stage

ASKS: dict[str, object] = {"elicitation": {}}
ACCEPT = {"action": "accept", "content": {}}
INVALID_PARAMS = -32602
TOUCH = rule("touch", [CommandStep(("touch", "it"))], [Quote("Done: ")])


def arguments(stage: Stage, prompt: str = "touch") -> dict[str, Any]:
    return {"prompt": prompt, "cwd": stage.cwd, "approval-policy": "untrusted"}


def asked(host: Host, stage: Stage, prompt: str = "touch") -> tuple[SocketClient, Message]:
    """Return a client whose call waits for its user, and the result that asks."""
    raw = host.connect()
    client = Modern(raw, ASKS)
    first = client.result(client.request("tools/call", {"name": "codex", "arguments": arguments(stage, prompt)}))
    assert first["resultType"] == "input_required", first
    return raw, first


def next_round(stage: Stage, first: Message, prompt: str = "touch") -> dict[str, Any]:
    """Return the params of the call with the user's consent to all that was asked."""
    return {
        "name": "codex",
        "arguments": arguments(stage, prompt),
        "requestState": first["requestState"],
        "inputResponses": dict.fromkeys(first["inputRequests"], ACCEPT),
    }


def test_a_client_that_comes_back_on_another_connection_finds_its_call(stage: Stage) -> None:
    stage.play(TOUCH)
    with hosting(stage) as host:
        client, first = asked(host, stage)
        client.leave()
        again = Modern(host.connect(), ASKS)
        result = again.result(again.request("tools/call", next_round(stage, first)))
        assert text(result) == "Done: "
        assert (stage.workspace / "it").exists()
        once_more = again.answer(again.request("tools/call", next_round(stage, first)))
        assert once_more["error"]["code"] == INVALID_PARAMS, "a state counts once"
        reply = again.call("codex-reply", threadId=thread_id(result), prompt="touch")
        assert again.result(reply)["resultType"] == "input_required"


def test_a_call_that_was_continued_elsewhere_lives_and_ends_with_that_connection(stage: Stage) -> None:
    gate = Gate()
    stage.play(rule("slow", [CommandStep(("touch", "it"))], [gate.wait, Text("Never said.")]))
    with hosting(stage) as host:
        client, first = asked(host, stage, "slow")
        raw = host.connect()
        other = Modern(raw, ASKS)
        other.request("tools/call", next_round(stage, first, "slow"))
        stage.model.until(lambda now: now.requests == 2)
        client.leave()
        assert other.result(other.request("server/discover")), "the call goes on without the first connection"
        stage.model.until(lambda now: now.abandoned == 0)
        raw.leave()
        stage.model.until(lambda now: now.abandoned == 1)
        stage.model.open(gate)


def test_an_operator_stops_the_calls_of_a_client_that_wait_for_its_user(stage: Stage) -> None:
    """Of all kinds: by a request of the server, for the next round, and turns that no call waits for."""
    stage.play(TOUCH, rule("stall", [Text("hm"), Stall()]))
    with hosting(stage) as host:
        raw, first = asked(host, stage)
        (client_id,) = [one["id"] for one in clients(stage)]
        assert status(stage, "interrupt", client_id).returncode == 0
        again = Modern(raw, ASKS)
        over = again.result(again.request("tools/call", next_round(stage, first), request_id="round"))
        assert kind(over) == "turn_aborted"
        assert status(stage, "interrupt", client_id).returncode == 3
        started = again.result(again.call("codex", None, "start", prompt="stall", cwd=stage.cwd, wait=False))
        turn = {name: started["structuredContent"][name] for name in ("threadId", "callId")}
        stage.model.until(lambda now: now.streaming == 1)
        assert status(stage, "interrupt", client_id).returncode == 0
        wait = {"name": "codex-wait", "arguments": turn}
        waited = again.result(again.request("tools/call", wait, request_id="wait"))
        assert waited["structuredContent"]["turn"]["state"] == "aborted"
        raw.leave()
        asking = host.connect()
        asking.initialize(capabilities={"elicitation": {}})
        call = asking.codex("touch", **{"approval-policy": "untrusted", "cwd": stage.cwd})
        asking.until(lambda message: message.get("method") == "elicitation/create")
        assert status(stage, "interrupt", clients(stage)[-1]["id"]).returncode == 0
        assert kind(asking.result(call)) == "turn_aborted"
        assert not (stage.workspace / "it").exists()


def test_a_call_at_the_socket_is_continued_over_http(stage: Stage) -> None:
    stage.play(TOUCH)
    with hosting_http(stage) as served:
        client, first = asked(served.host, stage)
        client.leave()
        meta = {**META, "io.modelcontextprotocol/clientCapabilities": ASKS}
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {**next_round(stage, first), "_meta": meta},
        }
        headers = {
            **served.headers,
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSION,
            "Mcp-Method": "tools/call",
            "Mcp-Name": "codex",
        }
        answer = httpx2.post(served.url, json=message, headers=headers, timeout=30)
        assert "Done: " in answer.text
        assert (stage.workspace / "it").exists()
