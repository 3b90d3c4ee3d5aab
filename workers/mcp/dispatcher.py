"""Lets one tool that breaks the rules cost nothing but itself.

The client validates a listing as a whole. Here it gets only the entries that it cannot object to, and every entry is
kept as it came.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mcp.shared.dispatcher import CallOptions
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp_types import RequestId

from greenroom.protocol.items import as_list


class TolerantDispatcher(JSONRPCDispatcher):
    """The client's own, except for the answers to `tools/list`."""

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
        if method == "tools/list" and isinstance(result.get("tools"), list):
            self.page = as_list(result["tools"])
            result["tools"] = [_bare(tool) for tool in self.page if _is_sound(tool)]
        return result


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
