"""Judges messages of a server by the models of the protocol's own types."""

from collections.abc import Iterable, Mapping
from typing import Any

from mcp_types import jsonrpc_message_adapter
from mcp_types.methods import SERVER_NOTIFICATIONS, parse_server_notification, parse_server_request, parse_server_result

from greenroom.protocol.mcp.handshake import EVENT_METHOD
from tests.conformance import task_types

OWN_NOTIFICATIONS = frozenset({EVENT_METHOD})
"""What the server sends beside the protocol's notifications, as the reference does."""


class Oracle:
    """Judges one connection. It has to see the client's requests, to know what is answered."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._methods: dict[int | str, str] = {}
        self.judged: dict[str, int] = {}
        """How many messages were judged, by what they are."""

    def sent(self, message: Mapping[str, Any]) -> None:
        """Take note of a message of the client."""
        if "method" in message and "id" in message:
            self._methods[message["id"]] = message["method"]

    def judge(self, message: Mapping[str, Any]) -> None:
        """Judge a message of the server. Raises `pydantic.ValidationError`, or `KeyError` for a foreign method."""
        jsonrpc_message_adapter.validate_python(message, by_name=False)
        match message:
            case {"method": str(method), "id": _}:
                parse_server_request(method, self._version, message.get("params"))
                self._count(method)
            case {"method": str(method)}:
                self._judge_notification(method, message.get("params"))
                self._count(method)
            case {"result": result}:
                method = self._methods[message["id"]]
                self._judge_result(method, result)
                self._count(f"result of {method}")
            case _:
                self._count("error")

    def judge_all(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """Judge messages of the server, in order."""
        for message in messages:
            self.judge(message)

    def _judge_result(self, method: str, result: Mapping[str, Any]) -> None:
        if self._version == task_types.VERSION and method in task_types.TASK_METHODS:
            task_types.judge_result(method, result)
        elif self._version == task_types.VERSION and result.get("resultType") == "task":
            task_types.judge_handle(result)
        else:
            parse_server_result(method, self._version, result)

    def _judge_notification(self, method: str, params: Mapping[str, Any] | None) -> None:
        if self._version == task_types.VERSION and method == task_types.NOTIFICATION:
            assert params is not None
            task_types.judge_notification(params)
        elif method in OWN_NOTIFICATIONS:
            assert (method, self._version) not in SERVER_NOTIFICATIONS
            assert params is not None
            assert set(params) == {"_meta", "id", "msg"}
            assert isinstance(params["msg"]["type"], str)
        else:
            parse_server_notification(method, self._version, params)

    def _count(self, what: str) -> None:
        self.judged[what] = self.judged.get(what, 0) + 1
