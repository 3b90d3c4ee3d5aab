"""MCP 2026-07-28 over HTTP: no sessions, and headers that repeat the body."""

import base64
from typing import Any

import pytest

from greenroom.config.defaults import Limits
from greenroom.config.tables.http import HttpTable
from greenroom.protocol.mcp.handshake import MODERN_VERSION_KEY
from greenroom.protocol.mcp.stateless import CAPABILITIES_KEY, CLIENT_INFO_KEY, TASKS
from greenroom.protocol.mcp.subscriptions import SUBSCRIPTION_KEY
from greenroom.supervisor.frontend.http.refusal import HEADER_MISMATCH
from tests.support.http_host import Host, HttpClient, Stream, host
from tests.support.loop import on_loop, until

VERSION = "2026-07-28"


def modern(
    request_id: object, method: str, params: dict[str, Any] | None = None, **capabilities: Any
) -> dict[str, Any]:
    """Return a request without a handshake."""
    meta = {
        MODERN_VERSION_KEY: VERSION,
        CAPABILITIES_KEY: capabilities,
        CLIENT_INFO_KEY: {"name": "test", "version": "1"},
    }
    params = params or {}
    meta |= params.get("_meta", {})
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": meta}}


def headers_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return the headers that repeat a request."""
    named = message["params"].get("name", message["params"].get("uri"))
    return {"MCP_Protocol_Version": VERSION, "Mcp_Method": message["method"], "Mcp_Name": named}


async def ask(client: HttpClient, message: dict[str, Any]) -> dict[str, Any]:
    """Send a request, and return its answer."""
    response = await client.send("POST", message, **headers_of(message))
    if response.content_type == "text/event-stream":
        return (await Stream(response).rest())[-1]
    answer: dict[str, Any] = await response.json()
    return answer


def codex(request_id: object, prompt: str, more: dict[str, Any] | None = None, **capabilities: Any) -> dict[str, Any]:
    params = {"name": "codex", "arguments": {"prompt": prompt}, **(more or {})}
    return modern(request_id, "tools/call", params, **capabilities)


def threads(scene: Host) -> list[Any]:
    return list(scene.conversations.conversations._table)


@on_loop
async def test_a_client_without_a_session_is_served() -> None:
    async with host() as scene:
        client = scene.bare()
        discovered = await ask(client, modern(1, "server/discover"))
        assert discovered["result"]["supportedVersions"] == [VERSION]
        listed = await ask(client, modern(2, "tools/list"))
        assert listed["result"]["ttlMs"] > 0
        answer = await ask(client, codex("c", "talk"))
        assert answer["id"] == "c"
        assert answer["result"]["resultType"] == "complete"
        assert not scene.sessions


@on_loop
async def test_clients_may_use_the_same_ids_at_the_same_time() -> None:
    async with host() as scene:
        one, other = scene.bare(), scene.bare()
        message = codex(1, "stall", {"_meta": {"progressToken": "p"}})
        streams = [Stream(await client.send("POST", message, **headers_of(message))) for client in (one, other)]
        await until(lambda: len(threads(scene)) == 2 and all(thread.running for thread in threads(scene)))
        assert (await ask(one, modern(1, "tools/list")))["id"] == 1
        for stream in streams:
            stream.close()
        await until(lambda: not any(thread.running for thread in threads(scene)))


@on_loop
async def test_closing_its_connection_cancels_a_call() -> None:
    async with host() as scene:
        client = scene.bare()
        message = codex("c", "stall")
        stream = Stream(await client.send("POST", message, **headers_of(message)))
        await until(lambda: [thread for thread in threads(scene) if thread.running])
        stream.close()
        await until(lambda: not [thread for thread in threads(scene) if thread.running])


@on_loop
async def test_an_approval_is_given_with_a_second_request() -> None:
    async with host() as scene:
        client = scene.bare()
        first = await ask(client, codex(1, "ask", elicitation={"form": {}}))
        assert first["result"]["resultType"] == "input_required"
        ((key, _),) = first["result"]["inputRequests"].items()
        more = {
            "requestState": first["result"]["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {}}},
        }
        second = await ask(scene.bare(), codex(1, "ask", more, elicitation={"form": {}}))
        assert second["result"]["resultType"] == "complete"


@on_loop
async def test_a_call_that_has_become_a_task_outlives_its_connection() -> None:
    async with host(limits=Limits(task_after=0.0)) as scene:
        client = scene.bare()
        extensions: dict[str, Any] = {TASKS: {}}
        created = await ask(client, codex(1, "stall", extensions=extensions))
        task = created["result"]["taskId"]
        await client.close()
        again = scene.bare()
        state = await ask(again, modern(1, "tasks/get", {"taskId": task}, extensions=extensions))
        assert state["result"]["status"] == "working"
        await ask(again, modern(2, "tasks/cancel", {"taskId": task}, extensions=extensions))
        await until(lambda: not [thread for thread in threads(scene) if thread.running])


@on_loop
async def test_a_subscription_is_a_stream_of_its_own_with_the_clients_id() -> None:
    async with host() as scene:
        client = scene.bare()
        message = modern("s", "subscriptions/listen", {"notifications": {"resourcesListChanged": True}})
        stream = Stream(await client.send("POST", message, **headers_of(message)))
        acknowledged = await stream.next()
        assert acknowledged is not None
        assert acknowledged["params"]["_meta"] == {SUBSCRIPTION_KEY: "s"}
        await ask(scene.bare(), codex(1, "hello"))
        changed = await stream.next()
        assert changed is not None
        assert changed["method"] == "notifications/resources/list_changed"
        stream.close()
        await until(lambda: not scene.conversations.conversations.statistics().turns_running)


@on_loop
async def test_headers_that_contradict_the_body_are_refused() -> None:
    async with host() as scene:
        client = scene.bare()
        message = codex(1, "talk")
        good = headers_of(message)
        bad: list[dict[str, Any]] = [
            {**good, "MCP_Protocol_Version": None},
            {**good, "Mcp_Method": "tools/list"},
            {**good, "Mcp_Method": None},
            {**good, "Mcp_Name": "codex-reply"},
            {**good, "Mcp_Name": None},
            {**good, "Mcp_Name": "=?base64?!?="},
        ]
        for headers in bad:
            response = await client.send("POST", message, **headers)
            assert response.status == 400, headers
            error = await response.json()
            assert (error["id"], error["error"]["code"]) == (1, HEADER_MISMATCH)
        encoded = f"=?base64?{base64.b64encode(b'codex').decode()}?="
        assert await client.status("POST", message, **{**good, "Mcp_Name": encoded}) == 200


@on_loop
async def test_an_unknown_revision_is_told_which_are_known() -> None:
    async with host() as scene:
        client = scene.bare()
        message = modern(1, "tools/list")
        message["params"]["_meta"][MODERN_VERSION_KEY] = "2031-01-01"
        response = await client.send("POST", message, **{**headers_of(message), "MCP_Protocol_Version": "2031-01-01"})
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (400, -32022)
        assert error["data"] == {"supported": [VERSION], "requested": "2031-01-01"}


@pytest.mark.parametrize(("method", "status"), [("no/such", 404), ("initialize", 404), ("logging/setLevel", 404)])
@on_loop
async def test_a_method_that_the_revision_lacks_is_not_found(method: str, status: int) -> None:
    async with host() as scene:
        client = scene.bare()
        message = modern(1, method)
        response = await client.send("POST", message, **headers_of(message))
        assert (response.status, (await response.json())["error"]["code"]) == (status, -32601)
        assert (await ask(client, modern(1, "tools/list")))["result"]["tools"]


@on_loop
async def test_the_revision_has_neither_batches_nor_streams_to_get_nor_sessions_to_end() -> None:
    async with host() as scene:
        client = scene.bare()
        version: dict[str, Any] = {"MCP_Protocol_Version": VERSION}
        assert await client.status("POST", [modern(1, "tools/list")], **version) == 400
        assert await client.status("POST", {"jsonrpc": "2.0", "id": 1, "result": {}}, **version) == 400
        assert await client.status("POST", {"jsonrpc": "2.0", "method": "notifications/cancelled"}, **version) == 202
        for method in ("GET", "DELETE"):
            response = await client.send(method, None, **version)
            assert (response.status, response.headers["Allow"]) == (405, "POST")


@on_loop
async def test_there_is_a_limit_on_open_requests() -> None:
    async with host(HttpTable(stateless_requests=1)) as scene:
        client = scene.bare()
        message = codex("c", "stall")
        stream = Stream(await client.send("POST", message, **headers_of(message)))
        await until(lambda: [thread for thread in threads(scene) if thread.running])
        response = await client.send("POST", modern(1, "tools/list"), **headers_of(modern(1, "tools/list")))
        assert response.status == 429
        stream.close()
        await until(lambda: not [thread for thread in threads(scene) if thread.running])
        assert (await ask(client, modern(1, "tools/list")))["result"]["tools"]
