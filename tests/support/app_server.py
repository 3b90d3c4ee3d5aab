"""A server that speaks the protocol of `codex app-server`, with a client at its pipes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.support.client import TIMEOUT, Client, Message, RequestId
from tests.support.server import MODULE, Server
from tests.support.stage import Stage
from tests.support.template import Template

PROGRAM = (*MODULE, "app-server")
ME = {"name": "promises", "title": "Promises", "version": "1"}


class AppClient(Client):
    """Speaks without the member `jsonrpc`; every message is shown to `judge`."""

    def __init__(self, to_server: int, from_server: int) -> None:
        super().__init__(to_server, from_server)
        self.expects_current_form = False
        self.judge: Callable[[Message, bool], None] | None = None
        """Takes each message, and whether it is the client's own."""
        self.answers_with: dict[str, Callable[[Message], Mapping[str, object]]] = {}
        """How requests of the server are answered, by method; others are left open."""

    def send(self, message: Mapping[str, object]) -> None:
        if self.judge is not None:
            self.judge(dict(message), True)
        self.send_bytes(msgspec.json.encode(message) + b"\n")

    def read(self, within: float = TIMEOUT) -> Message:
        message = super().read(within)
        assert "jsonrpc" not in message
        if self.judge is not None:
            self.judge(message, False)
        answer = self.answers_with.get(message.get("method", "")) if "id" in message else None
        if answer is not None:
            self.send({"id": message["id"], "result": answer(message["params"])})
        return message

    def hello(self, **capabilities: object) -> Message:
        """Do the whole handshake and return its result."""
        params = {"clientInfo": ME, "capabilities": {"experimentalApi": True, **capabilities}}
        result = self.result(self.request("initialize", params))
        self.notify("initialized")
        return result

    def start(self, **params: object) -> str:
        """Start a thread and return its id."""
        thread: str = self.result(self.request("thread/start", params))["thread"]["id"]
        return thread

    def say(self, thread: str, text: str, **more: object) -> str:
        """Begin a turn and return its id."""
        turn: str = self.result(self.request("turn/start", said(thread, text, **more)))["turn"]["id"]
        return turn

    def completed(self, turn: str, within: float = TIMEOUT) -> Message:
        """Wait for the end of a turn, and return the turn."""
        found = self.until(
            lambda told: told.get("method") == "turn/completed" and told["params"]["turn"]["id"] == turn, within
        )
        ended: Message = found["params"]["turn"]
        return ended

    def told(self, method: str, nth: int = 0, **members: object) -> Message:
        """Return the params of the n-th notification or request of a method with these members, waiting for it."""
        seen = 0

        def wanted(message: Message) -> bool:
            nonlocal seen
            params = message.get("params") or {}
            seen += message.get("method") == method and members.items() <= params.items()
            return seen > nth

        params: Message = self.until(wanted)["params"]
        return params

    def asked(self, method: str, nth: int = 0) -> Message:
        """Return the n-th request of the server by a method, waiting for it."""
        seen = 0

        def wanted(message: Message) -> bool:
            nonlocal seen
            seen += message.get("method") == method and "id" in message
            return seen > nth

        return self.until(wanted)

    def refused(self, method: str, params: object = None) -> tuple[int, str]:
        """Return code and text with which a request is refused."""
        error = self.ask(method, params)["error"]
        return error["code"], error["message"]

    def respond(self, request_id: RequestId, result: Mapping[str, object]) -> None:
        """Answer a request of the server."""
        self.send({"id": request_id, "result": dict(result)})

    def methods(self, turn: str | None = None) -> list[str]:
        """Return the methods of the notifications read so far, of one turn or of all."""
        told = [message for message in self.messages if "method" in message and "id" not in message]
        return [message["method"] for message in told if turn in (None, turn_of(message))]

    def items(self, turn: str) -> list[Message]:
        """Return the completed items of a turn that have been read so far."""
        return [
            message["params"]["item"]
            for message in self.messages
            if message.get("method") == "item/completed" and message["params"]["turnId"] == turn
        ]


class AppServer(Server):
    """One run of `greenroom app-server`."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, template: Template | None = None
    ) -> None:
        super().__init__(command, environment, log, template)
        self.app = AppClient(self.client._to, self.client._from)
        self.client = self.app


def serve(stage: Stage, *arguments: str, judge: Callable[[Message, bool], None] | None = None) -> AppServer:
    """Start a server of a stage, and do the handshake."""
    server = AppServer((*PROGRAM, *arguments), stage.environment(), stage.log, stage.template)
    stage.servers.append(server)
    server.app.judge = judge
    server.app.hello()
    return server


def said(thread: str, text: str, **more: object) -> dict[str, object]:
    """Return the params of `turn/start` with a text."""
    return {"threadId": thread, "input": [{"type": "text", "text": text}], **more}


def turn_of(message: Mapping[str, Any]) -> str | None:
    """Return the id of the turn that a notification is about."""
    params = message.get("params") or {}
    found = params.get("turnId") or (params.get("turn") or {}).get("id")
    return None if found is None else str(found)
