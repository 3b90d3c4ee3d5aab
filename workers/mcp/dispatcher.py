"""Lets one part of an answer that breaks the rules cost nothing but itself.

The client validates an answer as a whole. Here it gets only what it cannot object to; the answer itself is kept as it
came, for who reads it member by member.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mcp.shared.dispatcher import CallOptions
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp_types import RequestId

from greenroom.protocol.items import as_list

UNSAID: Final = "2025-03-26"
"""The version that is assumed of who names none."""
AS_IT_CAME: Final = "greenroom/result"
"""The member of `_meta` under which the result of a call passes through the client."""


class TolerantDispatcher(JSONRPCDispatcher):
    """The client's own, except for the answers that it would refuse."""

    page: Sequence[object] = ()
    """The entries of the last page, as they came."""

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,
        *,
        _related_request_id: RequestId | None = None,
    ) -> dict[str, Any]:
        result = await super().send_raw_request(method, params, opts, _related_request_id=_related_request_id)
        if method == "tools/list":
            self.page = as_list(result.get("tools"))
        return _READ[method](result) if method in _READ else result


def _greeting(result: dict[str, Any]) -> dict[str, Any]:
    """A server need not say who it is, and what it can do is asked of it anyway."""
    info, version = result.get("serverInfo"), result.get("protocolVersion")
    given = info if isinstance(info, dict) else {}
    return {
        "protocolVersion": version if isinstance(version, str) else UNSAID,
        "capabilities": _capabilities(result),
        "serverInfo": {name: text if isinstance(text := given.get(name), str) else "" for name in ("name", "version")},
    }


def _discovered(result: dict[str, Any]) -> dict[str, Any]:
    versions = [version for version in as_list(result.get("supportedVersions")) if isinstance(version, str)]
    return {**_LATER, "supportedVersions": versions, "capabilities": _capabilities(result)}


def _capabilities(result: dict[str, Any]) -> dict[str, Any]:
    given = result.get("capabilities")
    return {name: value for name, value in given.items() if isinstance(value, dict)} if isinstance(given, dict) else {}


def _listing(result: dict[str, Any]) -> dict[str, Any]:
    tools = [_bare(tool) for tool in as_list(result.get("tools")) if _is_sound(tool)]
    cursor = result.get("nextCursor")
    return {**_LATER, "tools": tools} | ({"nextCursor": cursor} if isinstance(cursor, str) and cursor else {})


def _called(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("resultType") == "input_required":
        return result
    return {**_LATER, "content": [], "_meta": {AS_IT_CAME: result}}


_LATER: Final[Mapping[str, Any]] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
"""What the revision of 2026 has every result say, and earlier ones do not look at."""
_READ: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "initialize": _greeting,
    "server/discover": _discovered,
    "tools/list": _listing,
    "tools/call": _called,
}


def _bare(tool: Any) -> dict[str, Any]:
    return {"name": tool["name"], "inputSchema": tool["inputSchema"]}


def _is_sound(tool: object) -> bool:
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
        return False
    schema = tool.get("inputSchema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return False
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return (
        isinstance(properties, dict)
        and all(isinstance(value, dict) for value in properties.values())
        and isinstance(required, list)
        and all(isinstance(name, str) for name in required)
    )
