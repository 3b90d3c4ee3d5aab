"""Prevents one invalid part of an answer from invalidating the whole answer.

The client validates an answer as a whole. Here it gets a valid stand-in; the original answer is kept for code that
reads it member by member.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mcp.shared.dispatcher import CallOptions
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp_types import RequestId

from greenroom.protocol.items import as_list

UNSAID: Final = "2025-03-26"
"""The version assumed for a server that names none."""
AS_IT_CAME: Final = "greenroom/result"
"""The member of `_meta` that carries the original result of a call through the client."""


class TolerantDispatcher(JSONRPCDispatcher):
    """The client's session, except for the answers that it would reject."""

    page: Sequence[object] = ()
    """The unvalidated entries of the last page."""

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
    """A server may omit its name and version; its capabilities are probed anyway."""
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
"""Members that the revision of 2026 requires in every result, and that earlier ones ignore."""
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
