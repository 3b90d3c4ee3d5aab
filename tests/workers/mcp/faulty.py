"""A server that does what no SDK would, according to its first argument. It needs nothing but the standard library."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

mode = sys.argv[1]
DEEP: dict[str, object] = {"type": "object", "properties": {}}
for _ in range(60):
    DEEP = {"type": "object", "properties": {"in": DEEP}}

HOSTILE: list[object] = [
    {"name": "../../etc/passwd", "inputSchema": {"type": "object"}},
    {"name": "a b", "inputSchema": {"type": "object"}},
    {"name": "a_b", "inputSchema": {"type": "object"}},
    {"name": "a.b", "inputSchema": {"type": "object"}},
    {"name": "x" * 500, "inputSchema": {"type": "object"}},
    {"name": "", "inputSchema": {"type": "object"}},
    {"name": 7, "inputSchema": {"type": "object"}},
    {"inputSchema": {"type": "object"}},
    "no tool at all",
    {"name": "shell", "description": 5, "inputSchema": {"type": "object", "properties": {"a": True}}},
    {"name": "null", "inputSchema": {"type": "object", "properties": {"a": {"type": "null"}}}},
    {"name": "text", "inputSchema": {"type": "string"}},
    {"name": "none", "inputSchema": None},
    {"name": "deep", "inputSchema": DEEP},
    {"name": "twice", "description": "first", "inputSchema": {"type": "object"}},
    {"name": "twice", "description": "second", "inputSchema": {"type": "object"}},
]
PLAIN = {"name": "go", "inputSchema": {"type": "object"}}


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer(request: dict[str, Any], result: dict[str, object]) -> None:
    send({"id": request["id"], "result": result})


def refuse(request: dict[str, Any], code: int, message: str) -> None:
    send({"id": request["id"], "error": {"code": code, "message": message}})


def initialize(request: dict[str, Any]) -> None:
    if mode == "slow":
        # Ready once the test says so, by a file.
        while not os.path.exists(sys.argv[2]):
            time.sleep(0.01)
    if mode == "modern":
        refuse(request, -32601, "Method not found")
        return
    if mode == "curt":
        answer(request, {"protocolVersion": None, "capabilities": None, "serverInfo": 5, "instructions": 5})
        return
    capabilities = {"tools": {"listChanged": True}}
    info = {"name": "faulty", "version": "0"}
    version = request["params"]["protocolVersion"]
    answer(request, {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info})


def discover(request: dict[str, Any]) -> None:
    answer(
        request,
        {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}, "resources": None},
            "instructions": 5,
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "private",
        },
    )


def listing(request: dict[str, Any]) -> None:
    modern = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} if mode == "modern" else {}
    cursor = (request.get("params") or {}).get("cursor")
    if mode == "failing-list":
        refuse(request, -32603, "the shelf is empty")
    elif mode == "hostile":
        answer(request, {"tools": HOSTILE})
    elif mode == "circle":
        answer(request, {"tools": [PLAIN], "nextCursor": "same"})
    elif mode == "curt":
        answer(request, {"tools": [PLAIN, None], "nextCursor": 7, "_meta": None})
    elif mode == "pages" and cursor != "2":
        number = int(cursor or 0)
        answer(request, {"tools": [{**PLAIN, "name": f"go{number}"}], "nextCursor": str(number + 1)})
    else:
        answer(request, {"tools": [PLAIN], **modern})


def call(request: dict[str, Any]) -> None:
    if mode == "dies-in-call":
        sys.stderr.write("first\nthe shelf fell\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "odd":
        # The test says what the answer is to be, but for the number.
        sys.stdout.write(request["params"]["arguments"]["answer"].replace("ID", str(request["id"])) + "\n")
        sys.stdout.flush()
    elif mode == "flood":
        sys.stdout.write("x" * (9 * 1024 * 1024) + "\n")
        sys.stdout.flush()
        answer(request, {"content": []})
    elif mode == "modern" and "inputResponses" not in request["params"]:
        form = {"mode": "form", "message": "Sure?", "requestedSchema": {"type": "object", "properties": {}}}
        asked = {"sure": {"method": "elicitation/create", "params": form}}
        answer(request, {"resultType": "input_required", "inputRequests": asked, "requestState": "s"})
    elif mode == "modern":
        text = json.dumps([request["params"]["inputResponses"]["sure"]["action"], request["params"]["requestState"]])
        answer(request, {"resultType": "complete", "content": [{"type": "text", "text": text}]})
    elif mode != "mute":
        answer(request, {"content": [{"type": "text", "text": "gone"}]})


HANDLERS = {"initialize": initialize, "server/discover": discover, "tools/list": listing, "tools/call": call}

if mode == "dies-at-start":
    sys.exit("no configuration")
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A helper of the same group that ignores the signal as well and would hold the pipes open.
    subprocess.Popen([sys.executable, "-ISc", "import time; time.sleep(1000)"])
if mode == "noisy":
    sys.stdout.write("Welcome!\n" * 10_000)

while True:
    for line in sys.stdin:
        message = json.loads(line)
        handler = HANDLERS.get(message.get("method"))
        if handler is not None and mode != "silent":
            handler(message)
    if mode != "stubborn":
        break
    signal.pause()
