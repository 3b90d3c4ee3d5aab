"""A client that speaks raw JSON-RPC over two pipes, and reads only on request."""

import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from tests.support import wire

Message: TypeAlias = dict[str, Any]
RequestId: TypeAlias = int | str

TIMEOUT = 20.0
"""Default seconds for an answer."""
VERSION = "2025-06-18"
ME = {"name": "promises", "version": "1"}

LATER = frozenset(
    {
        "item_started",
        "item_completed",
        "agent_message_content_delta",
        "reasoning_content_delta",
        "reasoning_raw_content_delta",
        "raw_response_item",
        "raw_response_completed",
        "mcp_startup_complete",
    }
)
"""Events that later releases send in addition to those of all releases."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class EndOfOutputError(Exception):
    """The server closed its standard output."""


class Client:
    """Stores every message and every line that it has read, in order."""

    def __init__(self, to_server: int, from_server: int) -> None:
        self._to, self._from = to_server, from_server
        self._rest: list[bytes] = []
        self._lines: deque[bytes] = deque()
        self._last_id = 0
        self.expects_current_form = True
        """Whether messages are in the form described by docs/wire.md, and not in that of August 2025."""
        self.messages: list[Message] = []
        self.lines: list[bytes] = []

    # Sending

    def send_bytes(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._to, view) :]

    def send(self, message: Mapping[str, object]) -> None:
        self.send_bytes(msgspec.json.encode({"jsonrpc": "2.0", **message}) + b"\n")

    def request(self, method: str, params: object = None, request_id: RequestId | None = None) -> RequestId:
        """Send a request and return its id."""
        if request_id is None:
            self._last_id += 1
            request_id = self._last_id
        self.send({"id": request_id, "method": method, **({} if params is None else {"params": params})})
        return request_id

    def notify(self, method: str, params: object = None) -> None:
        self.send({"method": method, **({} if params is None else {"params": params})})

    def call(self, tool: str, request_id: RequestId | None = None, **arguments: object) -> RequestId:
        """Call a tool and return the request's id. Underscores in names stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        return self.request("tools/call", {"name": tool, "arguments": named}, request_id)

    def codex(self, prompt: str, **arguments: object) -> RequestId:
        return self.call("codex", None, prompt=prompt, **arguments)

    def reply(self, thread_id: str, prompt: str, request_id: RequestId | None = None) -> RequestId:
        return self.call("codex-reply", request_id, threadId=thread_id, prompt=prompt)

    def cancel(self, request_id: RequestId) -> None:
        self.notify("notifications/cancelled", {"requestId": request_id})

    def hang_up(self) -> None:
        """Close the server's standard input."""
        if self._to >= 0:
            os.close(self._to)
            self._to = -1

    def stop_listening(self) -> None:
        """Close the server's standard output."""
        if self._from >= 0:
            os.close(self._from)
            self._from = -1

    # Receiving

    def read(self, within: float = TIMEOUT) -> Message:
        """Return the next message. Raises `TimeoutError` or `EndOfOutputError`."""
        line = self._line(time.monotonic() + within)
        self.lines.append(line)
        message: Message = _decode(line)
        self.messages.append(message)
        if self.expects_current_form and "method" in message:
            wire.check(message)
        return message

    def until(self, wanted: Callable[[Message], bool], within: float = TIMEOUT) -> Message:
        """Return the first matching message, among those already read and those to come."""
        deadline = time.monotonic() + within
        for message in self.messages:
            if wanted(message):
                return message
        while not wanted(message := self.read(deadline - time.monotonic())):
            pass
        return message

    def answer(self, request_id: RequestId, within: float = TIMEOUT) -> Message:
        """Return the response to a request."""
        return self.until(lambda message: "method" not in message and _same(message.get("id"), request_id), within)

    def next_answer(self, within: float = TIMEOUT) -> Message:
        """Read until a response arrives, and return it."""
        deadline = time.monotonic() + within
        while "method" in (message := self.read(deadline - time.monotonic())):
            pass
        return message

    def result(self, request_id: RequestId, within: float = TIMEOUT) -> Message:
        """Return the result of a request that succeeded."""
        answer = self.answer(request_id, within)
        assert "result" in answer, answer
        result: Message = answer["result"]
        return result

    def ask(self, method: str, params: object = None, within: float = TIMEOUT) -> Message:
        """Send a request and return the response."""
        return self.answer(self.request(method, params), within)

    def event(self, request_id: RequestId, kind: str, within: float = TIMEOUT) -> Message:
        """Return the first event of a kind for a call."""
        found = self.until(lambda message: _is_event_of(message, request_id, kind), within)
        told: Message = found["params"]["msg"]
        return told

    def events(self, request_id: RequestId) -> list[Message]:
        """Return the flat events of a call that have been read so far, which report everything once."""
        return [event for event in self.all_events(request_id) if event["type"] not in LATER]

    def all_events(self, request_id: RequestId) -> list[Message]:
        """Return the events of a call that have been read so far, in all forms."""
        return [message["params"]["msg"] for message in self.notifications(request_id)]

    def notifications(self, request_id: RequestId) -> list[Message]:
        """Return the whole notifications of a call that have been read so far."""
        return [message for message in self.messages if _is_event_of(message, request_id)]

    def answers(self) -> list[Message]:
        """Return the responses read so far."""
        return [message for message in self.messages if "method" not in message]

    def read_to_end(self, within: float = TIMEOUT) -> list[Message]:
        """Read until the server closes its output, and return all messages."""
        deadline = time.monotonic() + within
        try:
            while True:
                self.read(deadline - time.monotonic())
        except EndOfOutputError:
            return self.messages

    def discard(self) -> None:
        """Read until the server closes its output, and discard everything."""
        while os.read(self._from, 1 << 20):
            pass

    def silent(self, within: float) -> bool:
        """Tell whether nothing arrives for this many seconds."""
        return not self._lines and not select.select((self._from,), (), (), within)[0]

    # Handshake

    def initialize(self, version: str = VERSION, capabilities: Mapping[str, object] | None = None) -> Message:
        """Do the whole handshake and return its result."""
        params = {"protocolVersion": version, "capabilities": capabilities or {}, "clientInfo": ME}
        result = self.result(self.request("initialize", params))
        self.notify("notifications/initialized")
        return result

    def _line(self, deadline: float) -> bytes:
        while not self._lines:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select((self._from,), (), (), left)[0]:
                raise TimeoutError(f"the server said nothing more; {len(self.messages)} messages before")
            data = os.read(self._from, 1 << 20)
            if not data:
                assert not any(self._rest), f"the output ends inside a line: {self._rest[0][:200]!r}"
                raise EndOfOutputError
            self._take(data)
        return self._lines.popleft()

    def _take(self, data: bytes) -> None:
        first, *more = data.split(b"\n")
        self._rest.append(first)
        if more:
            self._lines.append(b"".join(self._rest))
            self._lines.extend(more[:-1])
            self._rest = [more[-1]]


def thread_id(result: Message) -> str:
    """Return the conversation's id in a result."""
    found = result["structuredContent"]["threadId"]
    assert isinstance(found, str)
    return found


def text(result: Message) -> str:
    """Return the only text of a result."""
    (block,) = result["content"]
    assert block["type"] == "text"
    found = block["text"]
    assert isinstance(found, str)
    return found


def kind(result: Message) -> str:
    """Return the kind of failure in a result."""
    assert result["isError"] is True, result
    found = result["structuredContent"]["error"]["kind"]
    assert isinstance(found, str)
    return found


def kinds(events: list[Message]) -> list[str]:
    """Return the types of events."""
    return [event["type"] for event in events]


def deltas(events: list[Message]) -> Iterator[str]:
    """Return the pieces of text among events."""
    return (event["delta"] for event in events if event["type"] == "agent_message_delta")


def _same(one: object, other: RequestId) -> bool:
    return type(one) is type(other) and one == other


def _is_event_of(message: Message, request_id: RequestId, wanted: str | None = None) -> bool:
    if message.get("method") != "codex/event":
        return False
    params = message["params"]
    return _same(params["_meta"]["requestId"], request_id) and wanted in (None, params["msg"]["type"])
