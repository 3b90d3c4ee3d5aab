"""Sessions over HTTP: how they begin and end, and what each request of them is answered with."""

import pytest

from greenroom.config.tables.http import HttpTable
from greenroom.supervisor.frontend.http.session import SPARE
from tests.support.http_host import BOTH, ELICITATION, NEWEST, Stream, call, events_of, host, request
from tests.support.loop import on_loop, until


@on_loop
async def test_a_session_begins_with_initialize_and_has_an_id_that_nobody_guesses() -> None:
    async with host() as scene:
        one, other = await scene.client(), await scene.client()
        assert one.session_id is not None
        assert one.session_id != other.session_id
        assert len(one.session_id) >= 32
        assert one.session_id.isascii()
        assert (await one.ask(1, "tools/list"))["result"]["tools"][0]["name"] == "codex"


@on_loop
async def test_a_call_is_a_stream_with_its_events_and_its_answer_at_the_end() -> None:
    async with host() as scene:
        client = await scene.client()
        async with await client.call("c", "talk") as stream:
            result = await stream.result("c")
            assert result["structuredContent"]["threadId"]
            assert stream.is_primed
            assert stream.retry == 1000
            assert events_of(stream.messages).count("agent_message_delta") == 5
            assert stream.response.headers["Cache-Control"] == "no-store, no-transform"


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18"])
@on_loop
async def test_a_stream_of_an_earlier_revision_has_ids_but_no_event_without_data(version: str) -> None:
    async with host() as scene:
        client = await scene.client(version)
        async with await client.call("c", "talk") as stream:
            await stream.result("c")
            assert not stream.is_primed
            assert stream.last_id is not None


@on_loop
async def test_other_requests_are_answered_in_json() -> None:
    async with host() as scene:
        client = await scene.client()
        for method, status in (("ping", 200), ("no/such", 200)):
            response = await client.send("POST", request(7, method))
            assert (response.status, response.content_type) == (status, "application/json")
            assert (await response.json())["id"] == 7


@on_loop
async def test_what_needs_no_answer_is_accepted() -> None:
    async with host() as scene:
        client = await scene.client()
        for message in (
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "none"}},
            {"jsonrpc": "2.0", "id": 99, "result": {}},
        ):
            response = await client.send("POST", message)
            assert response.status == 202
            assert await response.read() == b""


@on_loop
async def test_a_batch_is_answered_where_the_revision_has_batches_and_refused_elsewhere() -> None:
    batch = [request(1, "ping"), {"jsonrpc": "2.0", "method": "notifications/x"}, request(2, "tools/list"), {"id": []}]
    async with host() as scene:
        client = await scene.client("2025-03-26")
        messages = await Stream(await client.send("POST", batch)).rest()
        assert sorted(str(message["id"]) for message in messages) == ["1", "2", "None"]
        assert await client.status("POST", [{"jsonrpc": "2.0", "method": "notifications/x"}]) == 202
        assert await client.status("POST", [request(5, "initialize")]) == 400
        newest = await scene.client(NEWEST)
        assert await newest.status("POST", batch) == 400
        assert await client.status("POST", []) == 400


@on_loop
async def test_a_session_that_does_not_exist_is_not_found_and_none_is_a_bad_request() -> None:
    async with host() as scene:
        client = await scene.client()
        client.session_id = "a" * 32
        assert await client.status("POST", request(1, "ping")) == 404
        assert await client.status("GET") == 404
        assert await client.status("DELETE") == 404
        client.session_id = None
        assert await client.status("POST", request(1, "ping")) == 400
        assert await client.status("GET") == 400


@on_loop
async def test_another_revision_than_the_one_agreed_on_is_refused() -> None:
    async with host() as scene:
        client = await scene.client("2025-06-18")
        client.version = "2025-03-26"
        assert await client.status("POST", request(1, "ping")) == 400
        client.version = "1999-01-01"
        response = await client.send("POST", request(1, "ping"))
        assert response.status == 400
        assert await client.status("POST", request(1, "ping"), MCP_Protocol_Version=None) == 200


@on_loop
async def test_a_handshake_that_fails_leaves_no_session() -> None:
    async with host(HttpTable(sessions=1)) as scene:
        client = scene.bare()
        response = await client.send("POST", request(1, "initialize", {}))
        assert "error" in await response.json()
        assert "Mcp-Session-Id" not in response.headers
        await client.initialize()


@on_loop
async def test_delete_ends_a_session_and_interrupts_its_calls() -> None:
    async with host() as scene:
        client, other = await scene.client(), await scene.client()
        thread = await other.begin()
        stream = await client.call("c", "stall", thread)
        await until(lambda: scene.conversation(thread).running)
        assert await client.status("DELETE") == 204
        (answer,) = [message for message in await stream.rest() if message.get("id") == "c"]
        assert answer["result"]["content"][0]["text"] == "Turn aborted: the client has left"
        await until(lambda: not scene.conversation(thread).running)
        assert await client.status("POST", request(1, "ping")) == 404
        assert (await other.ask(1, "ping"))["result"] == {}
        await until(lambda: len(scene.server.connections) == 2)


@on_loop
async def test_a_dropped_connection_cancels_nothing_and_a_cancellation_does() -> None:
    async with host() as scene:
        client = await scene.client()
        thread = await client.begin()
        stream = await client.call("c", "stall", thread)
        await until(lambda: scene.conversation(thread).running)
        stream.close()
        (entry,) = scene.sessions
        await until(lambda: not entry.streams.readers)
        assert (await client.ask(1, "ping"))["result"] == {}
        assert scene.conversation(thread).running
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c"}}
        assert await client.status("POST", cancel) == 202
        await until(lambda: not scene.conversation(thread).running)


@on_loop
async def test_each_stream_carries_what_belongs_to_its_request() -> None:
    async with host() as scene:
        client = await scene.client(**ELICITATION)
        threads = [await client.begin() for _ in range(2)]
        streams = [await client.call(f"c{n}", "ask", thread, progressToken=f"p{n}") for n, thread in enumerate(threads)]
        for number, stream in enumerate(streams):
            question = await stream.until(lambda message: message.get("method") == "elicitation/create")
            assert question["params"]["codex_mcp_tool_call_id"] == f"c{number}"
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {}}}
            assert await client.status("POST", answer) == 202
            await stream.result(f"c{number}")
            about = {
                message["params"]["_meta"]["requestId"]
                for message in stream.messages
                if "msg" in message.get("params", {})
            }
            assert about <= {f"c{number}"}


@on_loop
async def test_what_belongs_to_no_request_comes_on_the_standing_stream() -> None:
    async with host() as scene:
        client = await scene.client()
        await client.ask(1, "resources/list")
        async with await client.listen() as stream:
            assert await client.status("GET") == 409
            await client.begin()
            message = await stream.next()
            assert message is not None
            assert message["method"] == "notifications/resources/list_changed"


@on_loop
async def test_two_clients_share_a_conversation() -> None:
    async with host() as scene:
        one, other = await scene.client(), await scene.client()
        thread = await one.begin()
        for client in (other, one, other):
            stream = await client.call("r", "talk", thread)
            assert (await stream.result("r"))["structuredContent"]["threadId"] == thread


@on_loop
async def test_a_killed_worker_ends_its_call_alone() -> None:
    async with host() as scene:
        client = await scene.client()
        thread = await client.begin()
        result = await (await client.call("d", "die", thread)).result("d")
        assert result["isError"]
        assert result["structuredContent"]["error"]["kind"] == "worker_crashed"
        assert (await client.ask(1, "ping"))["result"] == {}


@on_loop
async def test_a_second_request_with_an_open_id_is_refused() -> None:
    async with host() as scene:
        client = await scene.client()
        thread = await client.begin()
        stream = await client.call(7, "stall", thread)
        response = await client.send("POST", request(7, "ping"))
        assert response.status == 400
        assert (await response.json())["id"] == 7
        assert (await client.ask("7", "ping"))["result"] == {}
        stream.close()


@on_loop
async def test_there_are_limits_on_sessions_and_on_their_open_requests() -> None:
    async with host(HttpTable(sessions=1, open_requests=2)) as scene:
        client = await scene.client()
        thread = await client.begin()
        streams = [await client.call(n, "stall", thread) for n in range(2)]
        refused = await client.send("POST", call(3, "stall", thread))
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert "overloaded" in (await refused.json())["error"]["message"]
        beyond = scene.bare()
        params = {"protocolVersion": NEWEST, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        assert await beyond.status("POST", request(1, "initialize", params)) == 503
        assert await client.status("DELETE") == 204
        await beyond.initialize()
        for stream in streams:
            stream.close()


@on_loop
async def test_a_session_that_nobody_comes_back_to_ends_with_its_calls() -> None:
    async with host(HttpTable(keep_s=0.2)) as scene:
        client, other = await scene.client(), await scene.client()
        standing = await other.listen()
        thread = await client.begin()
        stream = await client.call("c", "stall", thread)
        await until(lambda: scene.conversation(thread).running)
        stream.close()
        await until(lambda: not scene.sessions[0]._visits)
        for session in scene.sessions:
            session._left_at -= 2 * HttpTable().session_idle_s
        await until(lambda: not scene.conversation(thread).running)
        assert await client.status("POST", request(1, "ping")) == 404
        assert (await other.ask(1, "ping"))["result"] == {}, "a stream keeps a session alive"
        standing.close()


@on_loop
async def test_a_session_is_idle_since_its_last_request() -> None:
    async with host() as scene:
        client = await scene.client()
        (session,) = scene.sessions
        session._left_at -= 2 * HttpTable().session_idle_s
        assert await client.status("POST", request(1, "ping")) == 200
        await until(lambda: not session._visits)
        assert session.idle_s() < HttpTable().session_idle_s


@on_loop
async def test_no_session_is_opened_once_the_server_is_to_end() -> None:
    async with host() as scene:
        client = await scene.client()
        scene.listener.stop()
        params = {"protocolVersion": NEWEST, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        assert await scene.bare().status("POST", request(1, "initialize", params)) == 503
        assert (await client.ask(1, "ping"))["result"] == {}


@on_loop
async def test_what_is_asked_of_the_form_of_a_request_is_checked() -> None:
    async with host() as scene:
        client = await scene.client()
        ping = request(1, "ping")
        assert await client.status("POST", ping, Accept="application/json") == 406
        assert await client.status("POST", ping, Accept="text/event-stream") == 406
        assert await client.status("POST", ping, Accept=f"{BOTH};q=0") == 406
        assert await client.status("POST", ping, Accept="*/*") == 200
        assert await client.status("GET", Accept="application/json") == 406
        assert await client.status("PUT", ping) == 405
        assert await client.status("POST", body=b"{") == 400
        assert await client.status("POST", body=b"") == 400
        assert await client.status("POST", body=b'{\n"jsonrpc":"2.0",\r\n"id":1,"method":"ping"}\n') == 200
        assert await client.status("POST", ping, Content_Encoding="gzip") == 415


@on_loop
async def test_a_session_whose_connection_the_server_closes_is_gone() -> None:
    async with host() as scene:
        client = await scene.client()
        standing = await client.listen()
        connection = scene.server.connections[-1]
        await connection.close()
        assert await standing.rest() == []
        assert not scene.sessions
        assert await client.status("POST", request(1, "ping")) == 404


@on_loop
async def test_many_idle_clients_cost_an_active_one_nothing() -> None:
    async with host() as scene:
        idle = [await scene.client() for _ in range(100)]
        streams = [await client.listen() for client in idle]
        assert len(scene.sessions) == 100
        active = await scene.client()
        thread = await active.begin()
        for number in range(5):
            assert not (await (await active.call(number, "talk", thread)).result(number)).get("isError")
        for stream in streams:
            stream.close()


@on_loop
async def test_http_requests_of_a_session_have_a_limit_beside_its_calls() -> None:
    async with host(HttpTable(open_requests=1)) as scene:
        client = await scene.client()
        (session,) = scene.sessions
        for _ in range(1 + SPARE):
            session.enter()
        refused = await client.send("POST", request(1, "ping"))
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        session.leave()
        assert await client.status("POST", request(1, "ping")) == 200
        for _ in range(SPARE):
            session.leave()
