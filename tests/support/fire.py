"""Clients for a host under fire, over both transports: honest ones that count their answers, and others."""

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, Protocol

import httpx2

from tests.support.client import EndOfOutputError, thread_id
from tests.support.host import Host, SocketClient
from tests.support.http_process import HttpHost

PROMPTS: Final = ("think", "talk")
WITHIN: Final = 60.0
"""Seconds that an honest client waits for an answer."""
NEWEST: Final = "2025-11-25"


class Caller(Protocol):
    """One way to make calls."""

    def call(self, prompt: str, thread: str | None) -> dict[str, Any]:
        """Make a call, and return its result."""

    def answers(self) -> Counter[object]:
        """Return how often each request was answered."""

    def close(self) -> None:
        """Leave."""


class SocketCaller:
    """Calls at the Unix socket."""

    def __init__(self, host: Host) -> None:
        self._client = host.client()

    def call(self, prompt: str, thread: str | None) -> dict[str, Any]:
        call = self._client.codex(prompt) if thread is None else self._client.reply(thread, prompt)
        return self._client.result(call, within=WITHIN)

    def answers(self) -> Counter[object]:
        return Counter(message["id"] for message in self._client.answers() if "id" in message)

    def close(self) -> None:
        self._client.leave()


class HttpCaller:
    """Calls over HTTP, in a session. It breaks its connection off now and then, and comes back for the rest."""

    def __init__(self, served: HttpHost, rand: random.Random) -> None:
        self._url, self._random = served.url, rand
        self._http = httpx2.Client(
            headers={**served.headers, "Accept": "application/json, text/event-stream"},
            timeout=httpx2.Timeout(WITHIN),
            limits=httpx2.Limits(keepalive_expiry=0.5),  # far less than the host has: it would close one that is in use
        )
        params = {
            "protocolVersion": NEWEST,
            "capabilities": {},
            "clientInfo": {"name": "honest", "version": "1"},
        }
        opened = self._http.post(self._url, json=message("init", "initialize", params))
        opened.raise_for_status()
        self._http.headers["Mcp-Session-Id"] = opened.headers["Mcp-Session-Id"]
        self._calls = 0
        self._answers: Counter[object] = Counter()

    def call(self, prompt: str, thread: str | None) -> dict[str, Any]:
        self._calls += 1
        arguments = {"prompt": prompt} if thread is None else {"prompt": prompt, "threadId": thread}
        name = "codex" if thread is None else "codex-reply"
        asked = message(self._calls, "tools/call", {"name": name, "arguments": arguments})
        with self._http.stream("POST", self._url, json=asked) as response:
            response.raise_for_status()
            seen, result = self._read(response.iter_lines(), breaks_off=self._random.random() < 0.3)
        while result is None:
            seen, result = self._read_on(seen, breaks_off=self._random.random() < 0.2)
        if self._random.random() < 0.3:  # nothing comes after the answer, also for one that asks for it
            again, _ = self._read_on(seen, breaks_off=False)
            assert again == seen, "the stream of a call ends with its answer"
        return result

    def _read_on(self, seen: str, *, breaks_off: bool) -> tuple[str, dict[str, Any] | None]:
        """Read a stream behind an event, and return what `_read` does."""
        with self._http.stream("GET", self._url, headers={"Last-Event-ID": seen}) as response:
            response.raise_for_status()
            return self._read(response.iter_lines(), breaks_off=breaks_off, seen=seen)

    def _read(self, lines: Iterator[str], *, breaks_off: bool, seen: str = "") -> tuple[str, dict[str, Any] | None]:
        """Read to the end of a stream, or break off; return the id of the last event, and the result if it was there.

        Every answer counts, to whichever request and however often it comes.
        """
        result: dict[str, Any] | None = None
        left = self._random.randrange(1, 20) if breaks_off else -1
        for line in lines:
            name, _, value = line.partition(": ")
            if name == "id":
                seen = value
            elif name == "data":
                said = json.loads(value)
                if "method" not in said and "id" in said:
                    self._answers[said["id"]] += 1
                    result = said["result"] if said["id"] == self._calls else result
            left -= not line
            if left == 0:
                break
        return seen, result

    def answers(self) -> Counter[object]:
        return self._answers

    def ping(self) -> None:
        answer = self._http.post(self._url, json=message("ping", "ping", {}))
        assert answer.status_code == 200, answer.text
        assert answer.json()["result"] == {}

    def close(self) -> None:
        self._http.close()


class Honest(threading.Thread):
    """Makes one call after the other, and counts the answers of each."""

    def __init__(self, caller: Caller, seed: int, end: float) -> None:
        super().__init__(name=f"client {seed}")
        self._caller = caller
        self._random = random.Random(seed)
        self._end = end
        self.answered = 0
        self.fault = ""

    def run(self) -> None:
        try:
            self._talk()
        except (AssertionError, TimeoutError, EndOfOutputError, KeyError, httpx2.HTTPError) as error:
            self.fault = repr(error)

    def _talk(self) -> None:
        thread: str | None = None
        while time.monotonic() < self._end:
            result = self._caller.call(self._random.choice(PROMPTS), thread)
            thread = None if self._random.random() < 0.3 else thread_id(result)
            self.answered += 1
        assert set(self._caller.answers().values()) == {1}, "each request is answered once"


def message(request_id: object, method: str, params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def trouble_at_the_socket(host: Host, rand: random.Random) -> None:
    """Come as a client that is no good, and go."""
    client = SocketClient(host.path)
    with suppress(BrokenPipeError, ConnectionResetError):
        match rand.randrange(5):
            case 0:
                client.send_bytes(rand.randbytes(2_000) + b"\n")
            case 1:
                client.send_bytes(b'{"protocol":"mcp","vers')
            case 2:
                client.send_bytes(b'{"protocol":"mcp","version":1}\n' + b"[" * 10_000 + b"\n")
            case 3:  # leaves in the middle of a turn
                client.send_bytes(b'{"protocol":"mcp","version":1}\n')
                client.codex("talk")
            case _:  # asks, and reads nothing
                for _ in range(20):
                    client.codex("talk")
    client.leave()


class HttpTrouble:
    """Clients over HTTP that are no good. What they leave half open is closed at the end."""

    def __init__(self, served: HttpHost) -> None:
        address = served.url.partition("//")[2].partition("/")[0]
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._head = f"POST /mcp HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {served.token}\r\n"
        self._half_open: list[socket.socket] = []

    def come(self, rand: random.Random) -> None:
        """Come once."""
        connection = socket.create_connection((self._host, self._port), timeout=10)
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(self._bytes(rand))
        if rand.random() < 0.3 and len(self._half_open) < 100:
            self._half_open.append(connection)  # and says nothing more
        else:
            connection.close()

    def close(self) -> None:
        for connection in self._half_open:
            connection.close()

    def _bytes(self, rand: random.Random) -> bytes:
        match rand.randrange(6):
            case 0:
                return rand.randbytes(2_000) + b"\r\n\r\n"
            case 1:
                return self._head.encode()[: rand.randrange(10, len(self._head))]
            case 2:  # a body that never comes to its end
                return self._post(b'{"jsonrpc":', length=10_000)
            case 3:
                return self._post(b"[" * 10_000)
            case 4:
                return self._post(b"{}", more="Mcp-Session-Id: nobodys\r\n")
            case _:  # a call without a session, given up or never read
                meta = {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientInfo": {"name": "lost", "version": "1"},
                    "io.modelcontextprotocol/clientCapabilities": {},
                }
                params = {"name": "codex", "arguments": {"prompt": "talk"}, "_meta": meta}
                headers = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: codex\r\n"
                return self._post(json.dumps(message(1, "tools/call", params)).encode(), more=headers)

    def _post(self, body: bytes, length: int | None = None, more: str = "") -> bytes:
        kind = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        size = len(body) if length is None else length
        return f"{self._head}{kind}{more}Content-Length: {size}\r\n\r\n".encode() + body
