"""Clients at a socket of the app server's own: many at once, over WebSocket, of this user alone."""

import asyncio
import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import aiohttp

from greenroom.demo.script import Text, rule
from greenroom.supervisor.startup.app_server_socket import socket_path
from tests.support.app_server import ME, PROGRAM, said
from tests.support.loop import until
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Hi.")])


class SocketClient:
    """Speaks over one WebSocket."""

    def __init__(self, web_socket: aiohttp.ClientWebSocketResponse) -> None:
        self.web_socket = web_socket
        self.messages: list[dict[str, Any]] = []
        self._last_id = 0

    async def ask(self, method: str, params: object) -> dict[str, Any]:
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        await self.web_socket.send_str(json.dumps(message, indent=1))
        answer = await self.until(lambda one: one.get("id") == message["id"])
        result: dict[str, Any] = answer["result"]
        return result

    async def until(self, wanted: Any) -> dict[str, Any]:
        while not any(wanted(one) for one in self.messages):
            self.messages.append(await self.web_socket.receive_json(timeout=20))
        return next(one for one in self.messages if wanted(one))


async def connected(session: aiohttp.ClientSession) -> SocketClient:
    client = SocketClient(await session.ws_connect("ws://localhost/"))
    assert "greenroom/" in (await client.ask("initialize", {"clientInfo": ME}))["userAgent"]
    return client


async def serves(path: Path) -> None:
    await until(path.exists)
    connector = aiohttp.UnixConnector(str(path))
    async with aiohttp.ClientSession(connector=connector) as session:
        one, other = await connected(session), await connected(session)
        thread = (await one.ask("thread/start", {"cwd": str(path.parent)}))["thread"]["id"]
        await other.ask("thread/resume", {"threadId": thread})
        await one.ask("turn/start", said(thread, "hello"))
        for client in (one, other):
            ended = await client.until(lambda message: message.get("method") == "turn/completed")
            assert ended["params"]["turn"]["items"][0]["text"] == "Hi."
        await one.web_socket.close()
        assert (await other.ask("thread/read", {"threadId": thread, "includeTurns": False}))["thread"]["id"] == thread
        async with session.get("http://localhost/readyz") as ready:
            assert ready.status == 200
        async with session.get("http://localhost/") as plain:
            assert plain.status == 426
        async with session.get("http://localhost/readyz", headers={"Origin": "http://localhost"}) as page:
            assert page.status == 403
        await other.web_socket.send_bytes(b"{}")
        assert (await other.web_socket.receive(timeout=20)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


def test_clients_share_threads_over_a_socket(stage: Stage) -> None:
    stage.play(HELLO)
    path = stage.runtime / "app.sock"
    server = stage.start("--listen", f"unix://{path}", program=PROGRAM)
    asyncio.run(serves(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = stage.start("--listen", f"unix://{path}", program=PROGRAM)
    assert second.wait() == 1
    assert "another program listens" in stage.told()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not path.exists()


def test_an_address_without_a_path_is_the_usual_place(tmp_path: Path) -> None:
    place = tmp_path / "app-server-control"
    assert socket_path("unix://", str(tmp_path)) == str(place / "app-server-control.sock")
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert socket_path("unix:///a/b", str(tmp_path)) == "/a/b"
    assert socket_path("unix://b", str(tmp_path)) == os.path.join(os.getcwd(), "b")
