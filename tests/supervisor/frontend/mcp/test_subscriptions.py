"""A stream tells a client of what it asked for, under the stream's id, until one of the two ends it."""

import json
from typing import Any

import pytest
from mcp_types import methods

from greenroom.protocol.jsonrpc import Request
from greenroom.protocol.mcp import stateless as modern
from greenroom.protocol.mcp.handshake import MODERN_VERSION_KEY
from greenroom.protocol.mcp.stateless import TASKS, VERSIONS
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.mcp import subscriptions as module
from greenroom.supervisor.frontend.mcp.subscriptions import MOST_STREAMS, Subscriptions
from greenroom.supervisor.frontend.request_params import RefusedError

EVERYTHING = {
    "toolsListChanged": True,
    "promptsListChanged": True,
    "resourcesListChanged": True,
    "resourceSubscriptions": ["codex://a"],
    "taskIds": ["t"],
}
ABLE = {"prompts": {"listChanged": True}, "resources": {"listChanged": True, "subscribe": True}}


class Connection:
    """A connection on which a client without a handshake listens."""

    def __init__(self, capabilities: dict[str, object] | None = None) -> None:
        self.channel = ClientChannel(self.write)
        self.peer = self.channel.peer
        self.written: list[Any] = []
        self.capabilities = {"extensions": {TASKS: {}}} if capabilities is None else capabilities
        self.subscriptions = Subscriptions(self.channel)

    def write(self, line: bytes) -> None:
        if line:
            self.written.append(json.loads(line))

    def listen(self, notifications: object, request_id: int | str = 1) -> Any:
        """Open a stream; return what is said to it."""
        meta = {MODERN_VERSION_KEY: VERSIONS[0], modern.CAPABILITIES_KEY: self.capabilities}
        params = {"_meta": meta, "notifications": notifications}
        line = {"jsonrpc": "2.0", "id": request_id, "method": "subscriptions/listen", "params": params}
        (request,) = self.peer.receive(json.dumps(line).encode() + b"\n")
        assert isinstance(request, Request)
        envelope = modern.read_envelope(request.params)
        assert envelope is not None
        self.peer.enter(request, envelope)
        try:
            self.subscriptions.handlers["subscriptions/listen"](request)
        except RefusedError as refusal:
            self.channel.refuse(request, refusal)
        return self.written[-1]

    def happen(self) -> None:
        """Let everything change that can."""
        self.subscriptions.changed("tools")
        self.subscriptions.changed("prompts")
        self.subscriptions.changed("resources")
        self.subscriptions.updated("codex://a")
        self.subscriptions.updated("codex://b")
        self.subscriptions.task_changed("t", {"taskId": "t", "status": "working"})
        self.subscriptions.task_changed("u", {"taskId": "u", "status": "working"})

    def told(self) -> list[str]:
        return [line["method"] for line in self.written if "method" in line]


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CAPABILITIES", ABLE)


def test_a_stream_begins_with_what_was_agreed() -> None:
    agreed = Connection().listen(EVERYTHING, "listen-1")
    assert agreed["method"] == "notifications/subscriptions/acknowledged"
    assert agreed["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "listen-1"}
    honored = {name: value for name, value in EVERYTHING.items() if name != "toolsListChanged"}  # they never change
    assert agreed["params"]["notifications"] == honored


def test_what_was_asked_for_is_told_and_nothing_else() -> None:
    connection = Connection()
    connection.listen({**EVERYTHING, "promptsListChanged": False})
    connection.happen()
    assert connection.told()[1:] == [
        "notifications/resources/list_changed",
        "notifications/resources/updated",
        "notifications/tasks",
    ]
    for line in connection.written:
        assert line["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": 1}
        if line["method"] != "notifications/tasks":
            methods.parse_server_notification(line["method"], VERSIONS[0], line["params"])


def test_a_stream_for_nothing_is_told_nothing() -> None:
    connection = Connection()
    assert connection.listen({})["params"]["notifications"] == {}
    connection.happen()
    assert len(connection.written) == 1


def test_a_stream_that_its_client_ends_is_not_answered() -> None:
    connection = Connection()
    connection.listen(EVERYTHING)
    connection.peer.give_up(1)
    connection.subscriptions.cancel(1)
    connection.happen()
    assert len(connection.written) == 1
    assert connection.peer.open_requests == 0


def test_a_stream_that_we_end_is_answered() -> None:
    connection = Connection()
    connection.listen(EVERYTHING, 7)
    connection.subscriptions.close()
    answer = connection.written[-1]
    assert answer["id"] == 7
    assert answer["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7
    methods.parse_server_result("subscriptions/listen", VERSIONS[0], answer["result"])


def test_tasks_are_announced_to_clients_that_declared_them() -> None:
    connection = Connection({})
    assert connection.listen({"taskIds": []})["error"]["code"] == -32021
    assert "error" not in connection.listen({"resourcesListChanged": True}, 2)


@pytest.mark.parametrize("notifications", [None, 1, {"taskIds": "t"}, {"toolsListChanged": "yes"}])
def test_malformed_wishes_are_refused(notifications: object) -> None:
    assert Connection().listen(notifications)["error"]["code"] == -32602


def test_streams_have_a_limit() -> None:
    connection = Connection()
    for number in range(MOST_STREAMS):
        assert "method" in connection.listen({}, number)
    assert "error" in connection.listen({}, "one more")
    connection.subscriptions.cancel(0)
    assert "method" in connection.listen({}, "another")
