"""One flawed member of an answer loses itself, over pipes as over HTTP."""

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from greenroom.config.tables.servers import McpServer
from tests.workers.mcp.cast import faulty, hosted, running

BODY = {"content": [{"type": "text", "text": "BODY"}]}
ANSWERS: list[tuple[object, str]] = [
    ({"result": {"structuredContent": {"a": 1}}}, '{"a":1}'),
    ({"result": {**BODY, "structuredContent": {"meta": 0}}}, 'BODY"}]\nStructured content:\n{"meta":0}'),
    ({"result": {**BODY, "isError": None, "structuredContent": None, "_meta": None}}, "BODY"),
    ({"result": {"content": [None, {"type": "json", "json": {"k": "v"}}]}}, '\\"json\\":{\\"k\\":\\"v\\"}'),
    ({"result": {"content": [{"type": "resource_link", "uri": "ui://x"}]}}, "ui://x"),
    ({"result": {"content": [{"type": "audio", "data": "AA==", "mimeType": "audio/wav"}]}}, "audio/wav"),
    ({"result": None}, "`bad/go`: the result is no object but null"),
    ({"result": "plain"}, 'no object but "plain"'),
    ({"error": "boom"}, "`bad/go`: boom"),
    ({"error": {"code": "E1", "message": "boom"}}, "`bad/go`: E1: boom"),
    ({"jsonrpc": "1.0", "result": BODY}, "BODY"),
    ({"result": {"content": [{"type": "text", "text": "cut \ud83d"}]}}, "cut ?"),
]


class Odd(BaseHTTPRequestHandler):
    """Answers as the call says, as JSON or as an event."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method, number = request["method"], request.get("id")
        if number is None:
            return self.reply(202, "application/json", b"")
        if method == "initialize":
            result = {"protocolVersion": request["params"]["protocolVersion"]}
        else:
            result = {"tools": [{"name": "go", "inputSchema": {"type": "object"}}]}
        body = json.dumps({"jsonrpc": "2.0", "id": number, "result": result})
        if method == "tools/call":
            body = request["params"]["arguments"]["answer"].replace("ID", str(number))
        if self.path == "/events":
            return self.reply(200, "text/event-stream", f"event: message\ndata: {body}\n\n".encode())
        return self.reply(200, "application/json; charset=utf-8", body.encode())

    def do_GET(self) -> None:
        self.reply(405, "text/plain", b"")

    def do_DELETE(self) -> None:
        self.reply(200, "text/plain", b"")

    def reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Odd) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("way", ["pipes", "json", "events"])
def test_the_model_sees_what_there_is_or_what_was_wrong(way: str, address: str) -> None:
    server = faulty("odd", tool_timeout_sec=20) if way == "pipes" else McpServer(url=f"{address}/{way}")

    async def test() -> None:
        async with hosted({"bad": server}) as host:
            await host.servers.ready()
            for answer, told in ANSWERS:
                assert isinstance(answer, dict)
                text = json.dumps({"jsonrpc": "2.0", "id": "ID", **answer}).replace('"ID"', "ID")
                async with asyncio.timeout(15):
                    output = await host.call("bad__go", json.dumps({"answer": text}))
                assert told in output.text, answer

    running(test)


@pytest.mark.parametrize("mode", ["curt", "circle"])
def test_a_server_that_says_little_or_turns_in_a_circle_is_used(mode: str) -> None:
    async def test() -> None:
        async with hosted({"bad": faulty(mode)}) as host:
            await host.servers.ready()
            assert host.names == ["bad__go"]

    running(test)
