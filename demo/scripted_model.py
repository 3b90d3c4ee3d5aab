"""A server on the loopback interface that implements both model APIs and answers from a script instead of a model.

In a running loop: `async with ScriptedModel(script) as server: … server.base_url`. As a separate process:
`python -I -m greenroom.demo.scripted_model --script NAME`, which prints its address as one line of JSON and exits when
its standard input is closed.
"""

import argparse
import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Final, Self, TypeAlias, assert_never
from uuid import uuid4

import msgspec
from aiohttp import web

from greenroom.demo.chat_stream import ChatStream
from greenroom.demo.model_request import DecodedRequest
from greenroom.demo.request_log import Attempts, RecordedRequest, RequestLog
from greenroom.demo.response_stream import MODEL, ResponseStream
from greenroom.demo.script import Disconnect, FailStep, First, Script, ScriptStep, Stall, Think, Until
from greenroom.demo.scripts import SCRIPTS

HOST: Final = "127.0.0.1"
WHAT_IT_IS: Final = (
    "This is a script that speaks like a model server. There is no model, and nothing leaves this machine.\n"
)
HEADERS: Final = {"X-Scripted-Model": "true", "Server": "greenroom-scripted-model"}
_STREAM_HEADERS: Final = {**HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
_PATHS: Final = ("/responses", "/chat/completions")
_BACKLOG: Final = 1024
_LONGEST_MESSAGE: Final = 200

Stream: TypeAlias = ResponseStream | ChatStream


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """Counters of a server."""

    requests: int
    """Requests that have arrived, of every kind."""
    streaming: int
    """Model responses in progress."""
    abandoned: int
    """Responses that ended because the client disconnected."""
    bytes_written: int
    """Bytes of event streams passed to the operating system, or waiting for it."""


class ScriptedModel:
    """The server. It runs while its context is active, on the loop that entered it."""

    def __init__(self, script: Script, *, port: int = 0, log: RequestLog | None = None) -> None:
        self.requests = RequestLog() if log is None else log
        self._script = script
        self._port = port
        self._attempts = Attempts()
        self._streaming: set[asyncio.Transport] = set()
        self._abandoned = 0
        self._bytes_written = 0
        self._changed = asyncio.Event()
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._web = web.Server(self._handle, handler_cancellation=True, access_log=None)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._web, HOST, self._port, backlog=_BACKLOG)
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._listener is not None
        assert self._web is not None
        self._listener.close()
        for connection in tuple(self._streaming):
            connection.abort()
        await self.until(lambda now: now.streaming == 0)
        await self._web.shutdown(timeout=0.01)

    @property
    def base_url(self) -> str:
        """The `base_url` for a model provider."""
        return f"http://{HOST}:{self._port}/v1"

    def statistics(self) -> ModelStatistics:
        """Return the counters."""
        return ModelStatistics(self.requests.total, len(self._streaming), self._abandoned, self._bytes_written)

    async def until(self, condition: Callable[[ModelStatistics], bool]) -> ModelStatistics:
        """Wait until the counters satisfy a condition, and return them."""
        while not condition(now := self.statistics()):
            await self._changed.wait()
        return now

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        arrived = time.monotonic()
        if request.method == "GET" and request.path == "/":
            return web.Response(text=WHAT_IT_IS, headers=HEADERS)
        if request.method == "GET" and request.path == "/requests":
            return await self._report(request)
        body = await request.content.read()
        recorded = self.requests.record(arrived, request.method, request.path, request.headers, body)
        self._note_change()
        if request.method != "POST" or not request.path.endswith(_PATHS):
            answered = " and ".join(f"POST {path}" for path in _PATHS)
            return _refusal(404, f"this script answers {answered}, not {request.method} {request.path}")
        try:
            asked = recorded.request
        except msgspec.DecodeError as error:
            return _refusal(400, f"this is no request to a model: {error}")
        stream = ChatStream if recorded.is_chat else ResponseStream
        return await self._respond(request, asked, stream(asked, uuid4().hex[:12]))

    async def _respond(self, request: web.BaseRequest, asked: DecodedRequest, stream: Stream) -> web.StreamResponse:
        step = _of_attempt(self._script.step(asked), self._attempts.count(asked))
        connection = request.transport
        if connection is None:
            raise ConnectionResetError("the client left before its answer began")
        self._streaming.add(connection)
        try:
            for failure in (action for action in step if isinstance(action, FailStep)):
                return await self._fail(step, failure)
            return await self._stream(request, step, stream)
        except (asyncio.CancelledError, ConnectionError):
            self._abandoned += 1
            raise
        finally:
            self._streaming.discard(connection)
            self._note_change()

    async def _fail(self, step: ScriptStep, failure: FailStep) -> web.Response:
        for action in step[: step.index(failure)]:
            match action:
                case Think() | Until():
                    await _pause(action)
                case _:
                    raise TypeError(f"{type(action).__name__} cannot come before FailStep")
        if isinstance(failure.body, str):
            response = web.Response(status=failure.status, text=failure.body)
        else:
            response = web.Response(
                status=failure.status, body=msgspec.json.encode(failure.body), content_type="application/json"
            )
        response.headers.update({**HEADERS, **(failure.headers or {})})
        return response

    async def _stream(self, request: web.BaseRequest, step: ScriptStep, stream: Stream) -> web.StreamResponse:
        response = web.StreamResponse(headers=_STREAM_HEADERS)
        await response.prepare(request)
        await self._write(response, stream.created())
        for action in step:
            for effect in stream.perform(action):
                if isinstance(effect, Disconnect):
                    return _break_off(request, response, effect)
                await self._carry_out(response, effect)
        if not stream.failed:
            await self._write(response, stream.completed())
        return response

    async def _carry_out(self, response: web.StreamResponse, effect: bytes | Think | Until | Stall) -> None:
        if isinstance(effect, bytes):
            await self._write(response, effect)
        else:
            await _pause(effect)

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        self._bytes_written += len(data)
        await response.write(data)

    async def _report(self, request: web.BaseRequest) -> web.Response:
        """Answer `GET /requests?after=NUMBER&wait=SECONDS` with later requests, waiting for one if necessary."""
        after = int(request.query.get("after", "0"))
        try:
            async with asyncio.timeout(float(request.query.get("wait", "0"))):
                await self.until(lambda now: now.requests > after)
        except TimeoutError:
            pass
        summaries = [_summary(recorded) for recorded in self.requests.after(after)]
        body = msgspec.json.encode({"requests": summaries, "statistics": asdict(self.statistics())})
        return web.Response(body=body, content_type="application/json", headers=HEADERS)


async def _pause(effect: Think | Until | Stall) -> None:
    match effect:
        case Think(seconds):
            await asyncio.sleep(seconds)
        case Until(event):
            await event.wait()
        case Stall():
            await asyncio.get_running_loop().create_future()
        case _:
            assert_never(effect)


def _of_attempt(step: ScriptStep, attempt: int) -> ScriptStep:
    kept = (action for action in step if not isinstance(action, First) or attempt <= action.times)
    return tuple(action.action if isinstance(action, First) else action for action in kept)


def _break_off(request: web.BaseRequest, response: web.StreamResponse, how: Disconnect) -> web.StreamResponse:
    if not how.orderly and request.transport is not None:
        request.transport.close()
    return response


def _refusal(status: int, message: str) -> web.Response:
    body = msgspec.json.encode({"error": {"type": "invalid_request_error", "message": message}})
    return web.Response(status=status, body=body, content_type="application/json", headers=HEADERS)


def _summary(recorded: RecordedRequest) -> dict[str, object]:
    try:
        message, conversation = recorded.request.message, recorded.request.conversation
    except msgspec.DecodeError:
        message = conversation = ""
    return {
        "number": recorded.number,
        "arrived": recorded.arrived,
        "method": recorded.method,
        "path": recorded.path,
        "conversation": conversation,
        "message": message[:_LONGEST_MESSAGE],
        "authorized": recorded.authorized,
    }


async def _serve(script: Script, port: int) -> None:
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_wait_for_end, args=(loop, closed), daemon=True).start()
    async with ScriptedModel(script, port=port) as server:
        address = {"base_url": server.base_url, "model": MODEL, "script": script.name}
        os.write(sys.stdout.fileno(), msgspec.json.encode(address) + b"\n")
        await closed.wait()


def _wait_for_end(loop: asyncio.AbstractEventLoop, closed: asyncio.Event) -> None:
    """Set the event when standard input ends. In a thread, because it may be a file, which a loop cannot watch."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    loop.call_soon_threadsafe(closed.set)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a named script until standard input ends."""
    parser = argparse.ArgumentParser(prog="scripted_model", description="A model server that is a script.")
    parser.add_argument("--script", choices=sorted(SCRIPTS), default="demo")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    options = parser.parse_args(arguments)
    asyncio.run(_serve(SCRIPTS[options.script], options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
