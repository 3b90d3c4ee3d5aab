"""A client without a handshake: every request carries an envelope."""

from collections.abc import Mapping
from typing import Any

from tests.support.client import ME, Client, Message, RequestId

VERSION = "2026-07-28"
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": ME,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Modern:
    """Speaks revision 2026-07-28 through a raw client. Ids are strings, so that both eras can share a connection."""

    def __init__(self, raw: Client, capabilities: Mapping[str, object] | None = None) -> None:
        self.raw = raw
        self._meta = {**META, "io.modelcontextprotocol/clientCapabilities": capabilities or {}}
        self._last = 0

    @property
    def messages(self) -> list[Message]:
        return self.raw.messages

    def request(
        self,
        method: str,
        params: Mapping[str, object] | None = None,
        meta: Mapping[str, object] | None = None,
        request_id: RequestId | None = None,
    ) -> RequestId:
        """Send a request and return its id."""
        if request_id is None:
            self._last += 1
            request_id = f"m{self._last}"
        return self.raw.request(method, {**(params or {}), "_meta": {**self._meta, **(meta or {})}}, request_id)

    def call(
        self,
        tool: str,
        more: Mapping[str, object] | None = None,
        request_id: RequestId | None = None,
        **arguments: object,
    ) -> RequestId:
        """Call a tool and return the request's id. Underscores in names stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        return self.request("tools/call", {"name": tool, "arguments": named, **(more or {})}, None, request_id)

    def cancel(self, request_id: RequestId) -> None:
        self.raw.cancel(request_id)

    def answer(self, request_id: RequestId) -> Message:
        return self.raw.answer(request_id)

    def result(self, request_id: RequestId) -> Message:
        return self.raw.result(request_id)
