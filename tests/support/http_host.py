"""A host in this process whose workers are played (`tests.support.played`), reached over HTTP."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import aiohttp

from greenroom.config.defaults import Limits
from greenroom.config.tables.http import HttpTable
from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.connection import Connection
from greenroom.supervisor.frontend.descriptors import Descriptors
from greenroom.supervisor.frontend.http.address import ListenAddress
from greenroom.supervisor.frontend.http.listener import HttpListener, url_of
from greenroom.supervisor.frontend.http.session import Session
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.frontend.stdio import StdioTransport
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.startup.provisions import Provisions
from greenroom.supervisor.startup.server import Server

TOKEN: Final = "t0ken-of-the-test-which-is-as-long-as-a-real-one"
BOTH: Final = "application/json, text/event-stream"
NEWEST: Final = "2025-11-25"
ELICITATION: Final[dict[str, Any]] = {"elicitation": {}}


class KeepAlive:
    """A client at a pipe that says nothing: the server does not end while it is there."""

    def __init__(self, server: Server) -> None:
        server_end, self._input = os.pipe()
        self._output, server_output = os.pipe()
        for end in (server_end, server_output):
            os.set_blocking(end, False)
        front = Front(lambda _: None, {})
        server.attach(Connection(front, partial(StdioTransport, Descriptors(server_end, server_output))))

    def close(self) -> None:
        os.close(self._input)
        os.close(self._output)


class Intake:
    """The server as the listener knows it."""

    def __init__(self, server: Server) -> None:
        self.attach = server.attach
        self.reason: str | None = None

    def refusal(self) -> str | None:
        return self.reason


@dataclass
class Host:
    """A host that listens."""

    server: Server
    listener: HttpListener
    intake: Intake
    address: ListenAddress
    clients: list["HttpClient"] = field(default_factory=list)

    @property
    def url(self) -> str:
        return url_of(self.address)

    @property
    def conversations(self) -> ConversationHost:
        return self.server.host

    @property
    def sessions(self) -> list[Session]:
        """The sessions, oldest first."""
        assert self.listener._sessions is not None
        return list(self.listener._sessions._table.values())

    def conversation(self, thread: str) -> Conversation:
        found = self.conversations.conversations.find(ConversationId(thread))
        assert found is not None
        return found

    async def client(self, version: str = NEWEST, **capabilities: Any) -> "HttpClient":
        """Return a client with a session."""
        client = HttpClient(self.url, version)
        self.clients.append(client)
        await client.initialize(capabilities)
        return client

    def bare(self, version: str = NEWEST) -> "HttpClient":
        """Return a client without a session."""
        client = HttpClient(self.url, version)
        self.clients.append(client)
        return client


def _nothing() -> NoReturn:
    raise AssertionError("the spawn engine starts no fork server")


@asynccontextmanager
async def host(settings: HttpTable | None = None, limits: Limits | None = None) -> AsyncIterator[Host]:
    """Serve over HTTP at any port, within `tests.support.played.played`."""
    provisions = Provisions({}, {}, None, _nothing, _nothing)
    server = Server(ServerOptions(os.environ["CODEX_HOME"], "spawn", limits=limits or Limits()), provisions)
    keep_alive, bound = KeepAlive(server), list[ListenAddress]()
    listener = HttpListener(
        settings or HttpTable(), ListenAddress("127.0.0.1", 0), TOKEN, lambda: Front(lambda _: None, {}), bound.append
    )
    intake = Intake(server)
    await listener.start(intake)
    scene = Host(server, listener, intake, bound[0])
    serving = asyncio.get_running_loop().create_task(server.serve())
    try:
        yield scene
    finally:
        for client in scene.clients:
            await client.close()
        listener.stop()
        await listener.close()
        server._stop.set()
        await serving
        keep_alive.close()


class Stream:
    """An answer that is a stream of events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id: str | None = None
        self.retry: int | None = None
        self.is_primed = False
        self.comments = 0
        self.messages: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any] | None:
        """Return the next message, `None` at the end."""
        block: dict[str, str] = {}
        while line := (await self.response.content.readline()).decode():
            name, _, value = line.rstrip("\n").partition(":")
            if line != "\n":
                self.comments += not name
                block[name] = value.removeprefix(" ")
                continue
            self.last_id = block.get("id", self.last_id)
            self.retry = int(block["retry"]) if "retry" in block else self.retry
            if block.get("data"):
                message: dict[str, Any] = json.loads(block["data"])
                self.messages.append(message)
                return message
            self.is_primed = self.is_primed or "data" in block
            block = {}
        return None

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the next message that fulfils a condition."""
        while (message := await self.next()) is not None:
            if condition(message):
                return message
        raise AssertionError(f"the stream has ended after {self.messages}")

    async def rest(self) -> list[dict[str, Any]]:
        """Read to the end, and return all messages."""
        while await self.next() is not None:
            pass
        return self.messages

    async def result(self, request_id: object) -> dict[str, Any]:
        """Read to the end, and return the result of a request."""
        (answer,) = [
            message for message in await self.rest() if message.get("id") == request_id and "result" in message
        ]
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        """Break the connection."""
        self.response.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class HttpClient:
    """A client that says exactly what it is told to."""

    def __init__(self, url: str, version: str = NEWEST) -> None:
        self.url, self.version = url, version
        self.session_id: str | None = None
        self.http = aiohttp.ClientSession(auto_decompress=False)

    async def close(self) -> None:
        await self.http.close()

    def headers(self, **more: str | None) -> dict[str, str]:
        """Return the usual headers; `None` leaves one out."""
        usual: dict[str, str | None] = {
            "Authorization": f"Bearer {TOKEN}",
            "Accept": BOTH,
            "Content-Type": "application/json",
            "Mcp-Session-Id": self.session_id,
            "MCP-Protocol-Version": self.version if self.session_id else None,
        }
        usual |= {name.replace("_", "-"): value for name, value in more.items()}
        return {name: value for name, value in usual.items() if value is not None}

    async def send(
        self, method: str, message: object = None, *, body: bytes | None = None, **headers: Any
    ) -> aiohttp.ClientResponse:
        """Send a request; the caller reads the answer."""
        data = json.dumps(message).encode() if body is None and message is not None else body
        return await self.http.request(
            method, self.url, data=data, headers=self.headers(**headers), allow_redirects=False
        )

    async def status(self, method: str, message: object = None, **more: Any) -> int:
        """Send a request, and return the status of its answer."""
        response = await self.send(method, message, **more)
        await response.read()
        return response.status

    async def initialize(self, capabilities: dict[str, Any] | None = None) -> dict[str, Any]:
        """Open a session."""
        params = {
            "protocolVersion": self.version,
            "capabilities": capabilities or {},
            "clientInfo": {"name": "test", "version": "1"},
        }
        response = await self.send("POST", request("init", "initialize", params))
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        self.session_id = response.headers["Mcp-Session-Id"]
        assert await self.status("POST", {"jsonrpc": "2.0", "method": "notifications/initialized"}) == 202
        return answer

    async def ask(self, request_id: object, method: str, params: object = None) -> dict[str, Any]:
        """Send a request, and return its answer."""
        response = await self.send("POST", request(request_id, method, params))
        if response.content_type == "text/event-stream":
            return (await Stream(response).rest())[-1]
        answer: dict[str, Any] = await response.json()
        return answer

    async def call(self, request_id: object, prompt: str, thread: str | None = None, **meta: Any) -> Stream:
        """Call a tool, and return the stream of the call."""
        response = await self.send("POST", call(request_id, prompt, thread, **meta))
        assert response.status == 200, await response.text()
        return Stream(response)

    async def listen(self, last_event_id: str | None = None) -> Stream:
        """Open the standing stream, or continue any."""
        response = await self.send("GET", Last_Event_ID=last_event_id, Accept="text/event-stream", Content_Type=None)
        assert response.status == 200, await response.text()
        return Stream(response)

    async def begin(self) -> str:
        """Begin a conversation, and return its id."""
        stream = await self.call("begin", "hello")
        thread: str = (await stream.result("begin"))["structuredContent"]["threadId"]
        return thread


def request(request_id: object, method: str, params: object = None) -> dict[str, Any]:
    """Return a request."""
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {} if params is None else params}


def call(request_id: object, prompt: str, thread: str | None = None, **meta: Any) -> dict[str, Any]:
    """Return a call of `codex`, or of `codex-reply` in a conversation."""
    arguments = {"prompt": prompt} if thread is None else {"prompt": prompt, "threadId": thread}
    name = "codex" if thread is None else "codex-reply"
    params: dict[str, Any] = {"name": name, "arguments": arguments}
    return request(request_id, "tools/call", {**params, "_meta": meta} if meta else params)


def events_of(messages: list[dict[str, Any]]) -> list[str]:
    """Return the kinds of the events among messages."""
    return [message["params"]["msg"]["type"] for message in messages if message.get("method") == "codex/event"]
