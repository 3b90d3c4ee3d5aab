"""The head of an HTTP request: headers of which a second one would be understood differently elsewhere are refused."""

from collections.abc import Iterable
from typing import Final

from greenroom.supervisor.frontend.http.refusal import RefusedRequest

SESSION_ID: Final = "mcp-session-id"
VERSION: Final = "mcp-protocol-version"
LAST_EVENT_ID: Final = "last-event-id"
METHOD: Final = "mcp-method"
NAME: Final = "mcp-name"


class RequestHead:
    """Method, path and headers."""

    def __init__(self, method: str, path: str, headers: Iterable[tuple[str, str]]) -> None:
        self.method = method
        self.path = path
        """Without a query."""
        self._headers: dict[str, list[str]] = {}
        for name, value in headers:
            self._headers.setdefault(name.lower(), []).append(value)

    def one(self, name: str) -> str | None:
        """Return the value of a header, `None` if it is absent. Raises `RefusedRequest` if there are several."""
        values = self._headers.get(name, [])
        if len(values) > 1:
            raise RefusedRequest(400, f"Bad Request: the header {name} is there more than once")
        return values[0].strip() if values else None

    def all(self, name: str) -> str:
        """Return the values of a list header, joined."""
        return ",".join(self._headers.get(name, []))
