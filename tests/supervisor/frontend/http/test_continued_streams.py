"""A client that comes back finds what was said meanwhile, as far as it is kept; and one that reads slowly."""

import asyncio
import json
import socket

from greenroom.config.tables.http import HttpTable
from greenroom.supervisor.frontend.http.event_log import OVERHEAD
from greenroom.supervisor.frontend.http.listener import USER_TIMEOUT_MS
from greenroom.supervisor.frontend.http.responses import RETRY_MS
from greenroom.supervisor.frontend.http.streams import NOTHING_KEPT, ClientStreams, StreamLimits
from greenroom.supervisor.frontend.stdio import HIGH_WATER, INPUT_STOP
from tests.support.http_host import ELICITATION, Host, HttpClient, Stream, call, events_of, host
from tests.support.loop import on_loop, until
from tests.support.played import FLOOD, PIECE

IN_FLIGHT = 2 * 1024 * 1024


def is_event(message: dict[str, object]) -> bool:
    return message.get("method") == "codex/event"


async def nobody_reads(scene: Host) -> None:
    """Wait until the server knows that no connection carries a stream."""
    await until(lambda: not any(session.streams.readers for session in scene.sessions))


@on_loop
async def test_a_client_that_comes_back_gets_the_rest_and_nothing_twice() -> None:
    async with host() as scene:
        client = await scene.client(**ELICITATION)
        thread = await client.begin()
        stream = await client.call("c", "ask", thread)
        await stream.until(lambda message: message.get("method") == "elicitation/create")
        stream.close()
        await nobody_reads(scene)
        again = await client.listen(stream.last_id)
        answer = {"jsonrpc": "2.0", "id": stream.messages[-1]["id"], "result": {"action": "accept", "content": {}}}
        assert await client.status("POST", answer) == 202
        assert (await again.result("c"))["structuredContent"]["threadId"] == thread
        assert all(message not in stream.messages for message in again.messages)


@on_loop
async def test_the_answer_to_a_call_waits_for_a_client_that_comes_back() -> None:
    async with host() as scene:
        client = await scene.client()
        thread = await client.begin()
        stream = await client.call("c", "stall", thread)
        assert await stream.response.content.readline() == b"retry: %d\n" % RETRY_MS
        primed = (await stream.response.content.readline()).decode().removeprefix("id: ").strip()
        stream.close()
        await nobody_reads(scene)
        interrupt = {"name": "codex-interrupt", "arguments": {"threadId": thread}}
        await client.ask(1, "tools/call", interrupt)
        await until(lambda: not scene.conversation(thread).running)
        for _ in range(2):  # as often as it asks
            async with await client.listen(primed) as again:
                assert (await again.result("c"))["isError"]


@on_loop
async def test_a_question_that_nobody_has_seen_waits_for_the_client() -> None:
    async with host(HttpTable(keep_kb=1)) as scene:
        client = await scene.client(**ELICITATION)
        thread = await client.begin()
        stream = await client.call("c", "ask", thread)
        await stream.response.content.readline()
        primed = (await stream.response.content.readline()).decode().removeprefix("id: ").strip()
        stream.close()
        await nobody_reads(scene)
        await until(lambda: scene.conversation(thread).pulse and scene.conversation(thread).pulse.questions)  # type: ignore[union-attr]
        async with await client.listen(primed) as again:
            await again.until(lambda message: message.get("method") == "elicitation/create")


@on_loop
async def test_what_is_not_kept_any_more_is_said() -> None:
    async with host(HttpTable(keep_kb=64)) as scene:
        client = await scene.client()
        thread = await client.begin()
        stream = await client.call("c", "flood", thread)
        await stream.until(is_event)
        first = stream.last_id
        stream.close()
        await until(lambda: not scene.conversation(thread).running)
        assert not scene.conversation(thread).is_held, "a client that is gone holds nobody up"
        again = await client.listen(first)
        messages = await again.rest()
        notice, *kept, answer = messages
        assert notice["method"] == "notifications/message"
        assert answer["id"] == "c"
        lost = notice["params"]["data"]["left_out"]
        assert lost > 0
        number = int((again.last_id or "").partition("-")[2])
        assert lost + len(kept) + 1 == number - int((first or "").partition("-")[2])
        assert len(kept) * (len(PIECE) + OVERHEAD) < 64 * 1024 + len(PIECE)


@on_loop
async def test_a_stream_that_is_not_kept_is_gone_and_a_strange_id_is_refused() -> None:
    async with host(HttpTable(keep_s=0.2)) as scene:
        client = await scene.client()
        stream = await client.call("c", "talk")
        await stream.result("c")
        (session,) = scene.sessions
        await until(lambda: session.streams.find(1) is None and session.streams.find(2) is None)
        assert await client.status("GET", Last_Event_ID=stream.last_id) == 410
        next_one = f"0-{session.streams.standing.last + 1}"
        for strange in ("x", "1", "-", next_one, "0-99", "1-1-1", "\u0663-\u0661", "9" * 30 + "-1"):
            response = await client.send("GET", Last_Event_ID=strange.encode().decode("latin-1"))
            assert response.status == 400, strange


@on_loop
async def test_who_comes_back_takes_the_stream_over() -> None:
    async with host() as scene:
        client = await scene.client()
        thread = await client.begin()
        stream = await client.call("c", "flood", thread)
        await stream.until(is_event)
        again = await client.listen(stream.last_id)
        await again.result("c")
        assert len(events_of(stream.messages)) + len(events_of(again.messages)) >= FLOOD
        await stream.rest()
        assert not any("result" in message for message in stream.messages)


@on_loop
async def test_a_stream_is_interrupted_after_its_time_and_can_be_continued() -> None:
    async with host(HttpTable(stream_lifetime_s=0.05)) as scene:
        thread = await (await scene.client("2025-06-18")).begin()  # whose streams are not interrupted
        client = await scene.client()
        stream = await client.call("c", "stall", thread)
        assert await stream.rest() == []
        interrupt = {"name": "codex-interrupt", "arguments": {"threadId": thread}}
        await client.ask(1, "tools/call", interrupt)
        assert stream.last_id is not None
        messages: list[dict[str, object]] = []
        while not any(message.get("id") == "c" for message in messages):
            async with await client.listen(stream.last_id) as again:
                messages += await again.rest()


@on_loop
async def test_a_client_that_reads_slowly_holds_up_its_own_conversation_alone() -> None:
    async with host() as scene:
        client, other = await scene.client(), await scene.client()
        thread, its_own = await client.begin(), await other.begin()
        slow = await _call_without_reading(client, thread)
        await until(lambda: scene.conversation(thread).is_held)
        for number in range(20):
            assert events_of((await _talk(other, number, its_own)).messages).count("agent_message_delta") == 5
        assert not scene.conversation(its_own).is_held
        (session, _) = scene.sessions
        assert HIGH_WATER < session.streams.statistics().waiting < HIGH_WATER + IN_FLIGHT
        await slow.result("slow")
        deltas = [m["params"]["msg"] for m in slow.messages if is_event(m)]
        numbers = [int(event["delta"].split()[0]) for event in deltas if event["type"] == "agent_message_delta"]
        assert numbers == list(range(FLOOD))
        assert not scene.conversation(thread).is_held


@on_loop
async def test_a_client_that_ends_its_side_is_gone_and_its_call_goes_on() -> None:
    async with host() as scene:
        client = await scene.client()
        thread = await client.begin()
        body = json.dumps(call("c", "stall", thread)).encode()
        fields = {**client.headers(), "Host": scene.address.text, "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        reader, writer = await asyncio.open_connection(scene.address.host, scene.address.port)
        writer.write(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
        await until(lambda: scene.conversation(thread).running)
        writer.write_eof()
        await nobody_reads(scene)
        assert scene.conversation(thread).running
        assert b"text/event-stream" in await reader.read()
        writer.close()


@on_loop
async def test_a_peer_that_acknowledges_nothing_is_given_up() -> None:
    async with host() as scene:
        client = await scene.client()
        standing = await client.listen()
        assert scene.listener._web is not None
        (connection, *_) = scene.listener._web._connections.values()
        accepted = connection.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == USER_TIMEOUT_MS
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        standing.close()


@on_loop
async def test_so_much_may_wait_for_a_reader_beside_one_message_of_any_size() -> None:
    streams = ClientStreams(StreamLimits(1000, 100.0, 10, 10_000))
    large = b"x" * (INPUT_STOP + 1)
    stream = streams.begin(["a"])
    reader, _ = streams.read(stream, 0)
    send = streams.writer_for("a")
    send(large)
    before = reader.is_overrun
    assert len(reader.take()) == 1
    send(large)
    send(b"one more")
    assert (before, reader.is_overrun, reader.has_ended) == (False, True, True)


@on_loop
async def test_of_clients_that_share_a_connection_none_waits_for_another() -> None:
    pressure: list[bool] = []
    streams = ClientStreams(NOTHING_KEPT, is_shared=True)
    streams.open_transport(lambda _: None, lambda: None, pressure.append)
    streams.read(streams.begin(["slow"]), 0)
    streams.writer_for("slow")(b"x" * (2 * HIGH_WATER))
    await streams.drain()
    assert not pressure


@on_loop
async def test_a_slow_client_that_goes_away_holds_up_nobody_any_more() -> None:
    async with host() as scene:
        client = await scene.client()
        thread = await client.begin()
        slow = await _call_without_reading(client, thread)
        await until(lambda: scene.conversation(thread).is_held)
        slow.close()
        await until(lambda: not scene.conversation(thread).is_held)
        await until(lambda: not scene.conversation(thread).running)


async def _talk(client: HttpClient, request_id: int, thread: str) -> Stream:
    stream = await client.call(request_id, "talk", thread)
    await stream.result(request_id)
    return stream


async def _call_without_reading(client: HttpClient, thread: str) -> Stream:
    stream = await client.call("slow", "flood", thread)
    transport = stream.response.connection.transport  # type: ignore[union-attr]
    assert isinstance(transport, asyncio.Transport)
    return stream
