"""Requests that another host answers: passed on whole, answered once, whatever that host does."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from greenroom.protocol.jsonrpc import Request
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.mcp.calls.relayed_requests import GONE, RelayedRequests
from tests.support.loop import on_loop, until


class Scene:
    """A client that has asked, and the other host's end of the connection."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.channel = ClientChannel(self.written.append, cwd="/somewhere")
        self.asked: list[tuple[bytes, str]] = []
        self.near, self.far = socket.socketpair()
        self.relayed = RelayedRequests(self.channel, {"1:2": self.connect, "3:4": self.refuse})
        line = b'{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"requestState":"s"}}\n'
        (request,) = self.channel.peer.receive(line)
        assert isinstance(request, Request)
        self.request = request

    def connect(self, line: bytes, cwd: str) -> socket.socket:
        self.asked.append((line, cwd))
        return self.near

    def refuse(self, line: bytes, cwd: str) -> socket.socket:
        raise ConnectionResetError(line, cwd)

    @property
    def told(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.written if line]

    async def say(self, *lines: bytes, count: int = 1) -> None:
        self.far.sendall(b"".join(line + b"\n" for line in lines))
        await until(lambda: len(self.told) >= count)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    try:
        yield made
    finally:
        made.relayed.close()
        made.near.close()
        made.far.close()


@on_loop
async def test_a_request_is_passed_on_and_answered_with_all_that_precedes_the_answer() -> None:
    async with scene() as now:
        assert not now.relayed.take(now.request, "5:6"), "no host that is known"
        assert not now.relayed.take(now.request, "3:4"), "a host that is gone"
        assert now.relayed.take(now.request, "1:2")
        ((line, cwd),) = now.asked
        assert json.loads(line) == {
            "jsonrpc": "2.0",
            "id": "a",
            "method": "tools/call",
            "params": {"requestState": "s"},
        }
        assert (cwd, now.relayed.count) == ("/somewhere", 1)
        progress = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}'
        answer = b'{"jsonrpc":"2.0","id":"a","result":{"resultType":"complete"}}'
        await now.say(progress, answer, answer, count=2)
        assert [one.get("method") for one in now.told] == ["notifications/progress", None]
        assert now.told[-1] == {"jsonrpc": "2.0", "id": "a", "result": {"resultType": "complete"}}
        assert (now.relayed.count, now.channel.peer.open_requests) == (0, 0)


@on_loop
async def test_an_error_is_passed_back_as_it_is() -> None:
    async with scene() as now:
        now.relayed.take(now.request, "1:2")
        await now.say(b'{"jsonrpc":"2.0","id":"a","error":{"code":-32602,"message":"no","data":{"reason":"x"}}}')
        assert now.told[0]["error"] == {"code": -32602, "message": "no", "data": {"reason": "x"}}


@on_loop
async def test_a_request_whose_host_dies_or_raves_is_answered_with_an_error() -> None:
    async with scene() as now:
        now.relayed.take(now.request, "1:2")
        now.far.close()
        await until(lambda: bool(now.told))
        assert now.told[0]["error"] == {"code": -32603, "message": GONE}
    async with scene() as now:
        now.relayed.take(now.request, "1:2")
        await now.say(b"[rubbish]")
        assert "not understood" in str(now.told[0]["error"])
        assert now.far.recv(100) == b"", "the connection is ended"


@on_loop
async def test_a_cancellation_and_the_leaving_of_the_client_reach_the_host() -> None:
    async with scene() as now:
        now.relayed.take(now.request, "1:2")
        now.relayed.cancel("b")
        assert now.relayed.count == 1
        now.relayed.cancel("a")
        assert now.told[0]["error"] == {"code": -32603, "message": "cancelled"}
        assert (now.relayed.count, now.far.recv(100)) == (0, b"")
    async with scene() as now:
        now.relayed.take(now.request, "1:2")
        now.relayed.close("it leaves")
        assert now.told[0]["error"] == {"code": -32603, "message": "it leaves"}
        assert now.far.recv(100) == b""
