"""Several clients of one server: each has its own transport, its own pace and its own end."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.control.inspection import Inspection
from greenroom.supervisor.control.instances import this_instance
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.connection import Connection
from greenroom.supervisor.frontend.descriptors import Descriptors
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.frontend.stdio import HIGH_WATER, StdioTransport
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.startup.provisions import Provisions
from greenroom.supervisor.startup.server import CLIENT_LEFT, Server
from tests.support.loop import on_loop, until
from tests.support.played import FLOOD, READ_SIZE, played

IN_FLIGHT = 2 * 1024 * 1024
"""Bytes that may still arrive for a client once its worker is held back: what queues and sockets hold."""


@pytest.fixture(autouse=True)
def workers_are_played(tmp_path: Path) -> Iterator[None]:
    with played({"CODEX_HOME": str(tmp_path)}):
        yield


class Client:
    """A client over a pair of pipes that reads only while it is told to."""

    def __init__(self, server: Server, name: str, *, can_ask: bool = False) -> None:
        server_end, self._input = os.pipe()
        self._output, server_output = os.pipe()
        for end in (server_end, server_output, self._output, self._input):
            os.set_blocking(end, False)
        front = Front(lambda _: None, {})
        self.connection = Connection(front, partial(StdioTransport, Descriptors(server_end, server_output)))
        self._loop = asyncio.get_running_loop()
        self._heard = bytearray()
        self.messages: list[dict[str, Any]] = []
        self.has_ended = False
        self.read()
        server.attach(self.connection)
        capabilities: dict[str, object] = {"elicitation": {}} if can_ask else {}
        info = {
            "protocolVersion": "2025-06-18",
            "capabilities": capabilities,
            "clientInfo": {"name": name, "version": "1"},
        }
        self.say("initialize", "initialize", info)

    def read(self) -> None:
        """Read from now on."""
        self._loop.add_reader(self._output, self._listen)

    def stop_reading(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._output)

    def say(self, request_id: object, method: str, params: object) -> None:
        line = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        os.write(self._input, json.dumps(line).encode() + b"\n")

    def notify(self, method: str, params: object) -> None:
        os.write(self._input, json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n")

    def codex(self, request_id: object, prompt: str) -> None:
        self.say(request_id, "tools/call", {"name": "codex", "arguments": {"prompt": prompt}})

    def reply(self, request_id: object, thread: str, prompt: str) -> None:
        arguments = {"threadId": thread, "prompt": prompt}
        self.say(request_id, "tools/call", {"name": "codex-reply", "arguments": arguments})

    def answers(self, request_id: object) -> list[dict[str, Any]]:
        return [message for message in self.messages if message.get("id") == request_id]

    async def result(self, request_id: object) -> dict[str, Any]:
        """Wait for the one answer to a request."""
        await until(lambda: self.answers(request_id))
        (answer,) = self.answers(request_id)
        result: dict[str, Any] = answer["result"]
        return result

    def leave(self) -> None:
        """Close the input, and go on reading."""
        os.close(self._input)
        self._input = -1

    def close(self) -> None:
        if self._input >= 0:
            os.close(self._input)
        if not self.has_ended:
            self.stop_reading()
            os.close(self._output)

    def _listen(self) -> None:
        data = os.read(self._output, READ_SIZE)
        if not data:
            self.has_ended = True
            self.stop_reading()
            os.close(self._output)
            return
        *lines, rest = (bytes(self._heard) + data).split(b"\n")
        self._heard = bytearray(rest)
        self.messages += [json.loads(line) for line in lines]


class Scene:
    """A server with two clients."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.one, self.other = Client(server, "one"), Client(server, "other")

    @property
    def host(self) -> ConversationHost:
        return self.server.host

    def conversation(self, thread: str) -> Conversation:
        conversation = self.host.conversations.find(ConversationId(thread))
        assert conversation is not None
        return conversation


@asynccontextmanager
async def two_clients() -> AsyncIterator[Scene]:
    """Serve two clients, and end with the server, whether they have left or not."""
    provisions = Provisions({}, {}, None, lambda: None, lambda: None)  # type: ignore[arg-type, return-value]
    server = Server(ServerOptions(os.environ["CODEX_HOME"], "spawn"), provisions)
    scene = Scene(server)
    serving = asyncio.get_running_loop().create_task(server.serve())
    try:
        yield scene
    finally:
        scene.one.close()
        scene.other.close()
        await serving


async def begin(client: Client) -> str:
    """Begin a conversation, and return its id."""
    request_id = f"begin-{uuid4()}"
    client.codex(request_id, "hello")
    thread: str = (await client.result(request_id))["structuredContent"]["threadId"]
    return thread


def deltas(client: Client, request_id: object) -> list[int]:
    """Return the numbers of a flood's events, as they arrived."""
    events = [message["params"] for message in client.messages if message.get("method") == "codex/event"]
    own = [event["msg"] for event in events if event["_meta"]["requestId"] == request_id]
    return [int(event["delta"].split()[0]) for event in own if event["type"] == "agent_message_delta"]


@on_loop
async def test_a_client_that_stops_reading_holds_up_its_own_conversation_alone() -> None:
    async with two_clients() as scene:
        thread, its_own = await begin(scene.one), await begin(scene.other)
        scene.one.stop_reading()
        scene.one.reply("flood", thread, "flood")
        await until(lambda: scene.conversation(thread).is_held)
        for number in range(50):
            scene.other.reply(number, its_own, "talk")
            await scene.other.result(number)
            assert deltas(scene.other, number) == [0, 1, 2, 3, 4]
        waiting = scene.one.connection.statistics().waiting
        assert HIGH_WATER < waiting < HIGH_WATER + IN_FLIGHT
        assert not scene.conversation(its_own).is_held
        assert scene.host.conversations.statistics().held == 1
        assert scene.conversation(thread).running is not None
        scene.one.read()
        await scene.one.result("flood")
        assert deltas(scene.one, "flood") == list(range(FLOOD))
        assert scene.host.conversations.statistics().held == 0


@on_loop
async def test_a_turn_that_begins_while_its_client_does_not_read_is_held_back_from_the_start() -> None:
    async with two_clients() as scene:
        thread, second = await begin(scene.one), await begin(scene.one)
        scene.one.stop_reading()
        scene.one.reply("flood", thread, "flood")
        await until(lambda: scene.conversation(thread).is_held)
        scene.one.reply("later", second, "stall")
        await until(lambda: scene.conversation(second).running)
        assert scene.conversation(second).is_held
        scene.one.read()
        await scene.one.result("flood")
        assert not scene.conversation(second).is_held


@on_loop
async def test_a_client_that_leaves_ends_its_own_turns_and_no_others() -> None:
    async with two_clients() as scene:
        thread, its_own = await begin(scene.one), await begin(scene.other)
        scene.one.reply("runs", thread, "stall")
        scene.one.reply("waits", thread, "talk")
        scene.other.reply("of the other", thread, "talk")
        scene.other.reply("goes on", its_own, "stall")
        await until(lambda: scene.conversation(thread).queued == 2 and scene.conversation(its_own).running)
        scene.one.leave()
        await until(lambda: scene.one.has_ended)
        for call in ("runs", "waits"):
            (answer,) = scene.one.answers(call)
            assert answer["result"]["content"][0]["text"] == f"Turn aborted: {CLIENT_LEFT}"
        await scene.other.result("of the other")
        assert not scene.other.answers("goes on")
        assert scene.conversation(its_own).running is not None
        scene.other.say("stop", "tools/call", {"name": "codex-interrupt", "arguments": {"threadId": its_own}})
        assert (await scene.other.result("goes on"))["isError"]
        assert scene.server.connections == [scene.other.connection]
        assert len(scene.host.conversations.turn_listeners) == 1, "and it is told of no other"


@on_loop
async def test_a_client_that_leaves_without_reading_holds_nobody_up_any_more() -> None:
    async with two_clients() as scene:
        thread = await begin(scene.one)
        scene.one.stop_reading()
        scene.one.reply("flood", thread, "flood")
        await until(lambda: scene.conversation(thread).is_held)
        scene.other.reply("next", thread, "talk")
        await until(lambda: scene.conversation(thread).queued)
        scene.one.leave()
        await scene.other.result("next")
        assert deltas(scene.other, "next") == [0, 1, 2, 3, 4]
        await until(lambda: scene.server.connections == [scene.other.connection])


@on_loop
async def test_a_listener_goes_with_its_client() -> None:
    async with two_clients() as scene:
        thread = await begin(scene.other)
        for client in (scene.one, scene.other):
            client.say("listen", "addConversationListener", {"conversationId": thread})
            await client.result("listen")
        assert len(scene.conversation(thread).observers) == 2
        scene.one.leave()
        await until(lambda: scene.one.has_ended)
        (left,) = scene.conversation(thread).observers
        assert left.client is scene.other.connection._channel


@on_loop
async def test_requests_under_way_are_answered_when_their_client_leaves() -> None:
    async with two_clients() as scene:
        await begin(scene.one)
        await begin(scene.other)
        for client in (scene.one, scene.other):
            client.say("status", "getAuthStatus", {})  # the broker of a played server never answers
        await until(lambda: scene.one.connection._front_end._services._live._tasks)  # type: ignore[attr-defined]
        scene.one.leave()
        await until(lambda: scene.one.has_ended)
        (answer,) = scene.one.answers("status")
        assert answer["error"]["message"] == CLIENT_LEFT
        assert not scene.other.answers("status")


@on_loop
async def test_the_server_ends_with_its_last_client() -> None:
    async with two_clients() as scene:
        await begin(scene.one)
        thread = await begin(scene.other)
        scene.one.leave()
        await until(lambda: scene.one.has_ended)
        scene.other.reply("again", thread, "talk")
        await scene.other.result("again")
        scene.other.reply("open", thread, "stall")
        await until(lambda: scene.conversation(thread).running)
        scene.other.leave()
        text = (await scene.other.result("open"))["content"][0]["text"]
        assert text == "Turn aborted: the server is shutting down"
        await until(lambda: scene.other.has_ended)


@on_loop
async def test_a_client_may_come_while_others_are_served() -> None:
    async with two_clients() as scene:
        thread = await begin(scene.one)
        third = Client(scene.server, "third")
        try:
            third.reply("hello", thread, "talk")
            assert (await third.result("hello"))["structuredContent"]["threadId"] == thread
        finally:
            third.close()


@on_loop
async def test_status_shows_every_client_and_what_they_have_in_common() -> None:
    async with two_clients() as scene:
        thread, its_own = await begin(scene.one), await begin(scene.other)
        scene.one.reply("one", thread, "stall")
        scene.other.reply("other", its_own, "stall")
        await until(lambda: scene.conversation(thread).running and scene.conversation(its_own).running)
        instance = this_instance(os.environ["CODEX_HOME"], "spawn")
        report = await Inspection(instance, scene.host, scene.server.connections, lambda: None).report()
        assert [client.name for client in report.clients] == ["one", "other"]
        assert report.client == report.clients[0]
        assert report.statistics.open_calls == 2
        assert report.statistics.stdio is not None
        written = sum(client.connection.statistics().written for client in (scene.one, scene.other))
        assert report.statistics.stdio.written == written


@on_loop
async def test_a_turn_that_no_call_waits_for_goes_on_when_its_client_leaves() -> None:
    async with two_clients() as scene:
        scene.one.say("start", "tools/call", {"name": "codex", "arguments": {"prompt": "stall", "wait": False}})
        begun = (await scene.one.result("start"))["structuredContent"]
        thread, call = begun["threadId"], begun["callId"]
        await until(lambda: scene.conversation(thread).state == "running")
        scene.one.leave()
        await until(lambda: scene.one.has_ended)
        wanted = {"threadId": thread, "callId": call}
        scene.other.say("look", "tools/call", {"name": "codex-wait", "arguments": {**wanted, "seconds": 0}})
        assert (await scene.other.result("look"))["structuredContent"]["turn"]["state"] == "running"
        scene.other.say("wait", "tools/call", {"name": "codex-wait", "arguments": wanted})
        scene.other.say("stop", "tools/call", {"name": "codex-interrupt", "arguments": {"threadId": thread}})
        turn = (await scene.other.result("wait"))["structuredContent"]["turn"]
        assert (turn["callId"], turn["state"]) == (call, "aborted")
        assert scene.host.started.under_way == 0
        assert len(scene.host.conversations.leave_listeners) == 1


@on_loop
async def test_a_wait_that_is_cancelled_ends_at_once() -> None:
    async with two_clients() as scene:
        scene.one.say("start", "tools/call", {"name": "codex", "arguments": {"prompt": "stall", "wait": False}})
        thread = (await scene.one.result("start"))["structuredContent"]["threadId"]
        scene.one.say("wait", "tools/call", {"name": "codex-wait", "arguments": {"threadId": thread}})
        await until(lambda: scene.conversation(thread).watchers)
        scene.one.notify("notifications/cancelled", {"requestId": "wait"})
        assert (await scene.one.result("wait"))["structuredContent"]["reason"] == "time"
        assert scene.conversation(thread).watchers == ()


@on_loop
async def test_what_a_client_was_asked_for_a_turn_that_goes_on_is_declined_when_it_leaves() -> None:
    async with two_clients() as scene:
        asking = Client(scene.server, "asking", can_ask=True)
        asking.say("start", "tools/call", {"name": "codex", "arguments": {"prompt": "ask", "wait": False}})
        begun = (await asking.result("start"))["structuredContent"]
        await until(lambda: [one for one in asking.messages if one.get("method") == "elicitation/create"])
        assert scene.host.conversations.questions.waiting()
        asking.leave()
        wanted = {"threadId": begun["threadId"], "callId": begun["callId"]}
        scene.other.say("wait", "tools/call", {"name": "codex-wait", "arguments": wanted})
        assert (await scene.other.result("wait"))["structuredContent"]["turn"]["state"] == "completed"
        await until(lambda: asking.has_ended)
        assert [one for one in asking.messages if one.get("method") == "notifications/cancelled"]
