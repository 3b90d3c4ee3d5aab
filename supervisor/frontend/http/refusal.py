"""The answer to a request that is refused: a status, and the reason as a JSON-RPC error."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from greenroom.protocol.jsonrpc import INVALID_REQUEST, METHOD_NOT_FOUND, error_line
from greenroom.protocol.mcp.stateless import MISSING_CLIENT_CAPABILITY, UNSUPPORTED_VERSION

HEADER_MISMATCH: Final = -32020
"""A header contradicts the body (MCP 2026-07-28)."""

STATUS_BY_CODE: Final[Mapping[int, int]] = {
    -32700: 400,
    INVALID_REQUEST: 400,
    -32602: 400,
    METHOD_NOT_FOUND: 404,
    HEADER_MISMATCH: 400,
    MISSING_CLIENT_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
}
"""The status of an error in MCP 2026-07-28, where it is the whole answer; any other error has 200."""

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class RefusedRequest(Exception):  # noqa: N818 - it is an answer, not a failure
    """A request is not served. Its text is for people and repeats nothing secret of the request."""

    def __init__(
        self,
        status: int,
        text: str,
        code: int = INVALID_REQUEST,
        data: object = None,
        headers: Mapping[str, str] = NO_HEADERS,
        raw_id: bytes = b"null",
    ) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers
        self.body = error_line(raw_id, code, text, data).rstrip()
