"""A model server that answers with the given bytes, and stores its requests."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Raw:
    """One answer."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})


@dataclass
class RawModel:
    """Gives its answers in order, and repeats the last one."""

    answers: Sequence[Raw]
    base_url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(request)
        await response.write(answer.body)
        return response


@asynccontextmanager
async def raw_model(*answers: Raw) -> AsyncIterator[RawModel]:
    """Serve on the loopback interface."""
    server = RawModel(answers)
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


def stream(*payloads: object, done: bool = True) -> bytes:
    """Return a stream of events, each with a payload: bytes unchanged, anything else as JSON."""
    texts = [payload if isinstance(payload, bytes) else json.dumps(payload).encode() for payload in payloads]
    return b"".join(b"data: " + text + b"\n\n" for text in (*texts, *([b"[DONE]"] if done else [])))


def chunk(delta: object = None, finish: object = None, **members: object) -> dict[str, object]:
    """Return a chunk of a chat completion."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], **members}
