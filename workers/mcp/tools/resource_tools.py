"""The tools with which the model looks at the resources of the user's MCP servers: one set for all servers.

Each is offered while there is a server that has resources and whose table does not leave the tool out. A call that
names a server needs the approval that a reading tool of it needs.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from greenroom.protocol.items import JsonObject, as_list
from greenroom.workers.approval.remote_tools import Hints
from greenroom.workers.mcp.tools.calls import RemoteCallError
from greenroom.workers.mcp.tools.result import brief
from greenroom.workers.mcp.tools.tool import RemoteTool

_T = TypeVar("_T")
ResourceMethod: TypeAlias = Literal["resources/list", "resources/templates/list", "resources/read"]
NO_SERVER: Final = "codex"
"""The server that events name where the model asks all of them."""
_READING: Final = Hints(read_only=True)
_LISTINGS: Final[Mapping[str, tuple[ResourceMethod, str]]] = {
    "list_mcp_resources": ("resources/list", "resources"),
    "list_mcp_resource_templates": ("resources/templates/list", "resourceTemplates"),
}
"""Tool → its method, and the member of its result that has the entries."""
_READ: Final = "read_mcp_resource"
NAMES: Final = frozenset({*_LISTINGS, _READ})


class ResourceServer(Protocol):
    """A server that may have resources."""

    @property
    def has_resources(self) -> bool:
        """Whether it says that it has some."""
        ...

    async def resources(self, method: ResourceMethod, params: JsonObject) -> JsonObject:
        """Return the result of a method. Raises `RemoteCallError`."""
        ...


class _ListArguments(msgspec.Struct, frozen=True):
    server: str | None = None
    cursor: str | None = None


class _ReadArguments(msgspec.Struct, frozen=True):
    server: str
    uri: str


class ResourceTools:
    """Answers calls from the servers that there are at the moment, by name."""

    def __init__(self, servers: Mapping[str, ResourceServer], offers: Callable[[str, str], bool]) -> None:
        """`offers` tells whether the table of a server offers a tool."""
        self._servers = servers
        self._offers = offers

    @property
    def definitions(self) -> tuple[JsonObject, ...]:
        """What the model is told of them."""
        return tuple(definition for definition in _DEFINITIONS if self._asked_by(str(definition["name"])))

    async def call(self, tool: str, arguments: JsonObject | None) -> JsonObject:
        """Return a `CallToolResult`. Raises `RemoteCallError`."""
        found = await (self._read(arguments) if tool == _READ else self._list(tool, arguments))
        return {"content": [], "structuredContent": found}

    async def _list(self, tool: str, arguments: JsonObject | None) -> JsonObject:
        given = _converted(arguments, _ListArguments)
        method, member = _LISTINGS[tool]
        if given.server is not None:
            result = await self._ask(
                given.server, tool, method, {} if given.cursor is None else {"cursor": given.cursor}
            )
            cursor = result.get("nextCursor")
            page: JsonObject = {"server": given.server, member: _marked(given.server, result.get(member))}
            return page if cursor is None else {**page, "nextCursor": cursor}
        if given.cursor is not None:
            raise RemoteCallError("cursor can only be used when a server is specified")
        return await self._list_all(tool, method, member)

    async def _list_all(self, tool: str, method: ResourceMethod, member: str) -> JsonObject:
        """Return the first page of each server. One that fails costs its own entries and is named."""
        entries: list[JsonObject] = []
        failed: JsonObject = {}
        more: list[str] = []
        for name in self._asked_by(tool):
            try:
                result = await self._ask(name, tool, method, {})
            except RemoteCallError as error:
                failed[name] = str(error)
                continue
            entries += _marked(name, result.get(member))
            if result.get("nextCursor") is not None:
                more.append(name)
        found: JsonObject = {member: entries}
        return {**found, **({"failed": failed} if failed else {}), **({"more": more} if more else {})}

    async def _read(self, arguments: JsonObject | None) -> JsonObject:
        given = _converted(arguments, _ReadArguments)
        result = await self._ask(given.server, _READ, "resources/read", {"uri": given.uri})
        return {"server": given.server, "uri": given.uri, "contents": list(map(brief, as_list(result.get("contents"))))}

    def _asked_by(self, tool: str) -> list[str]:
        """Return the servers that a tool asks."""
        return sorted(
            name for name, server in self._servers.items() if server.has_resources and self._offers(name, tool)
        )

    async def _ask(self, name: str, tool: str, method: ResourceMethod, params: JsonObject) -> JsonObject:
        if name not in self._servers:
            raise RemoteCallError(f"{method} failed: unknown MCP server '{name}'")
        if name not in self._asked_by(tool):
            raise RemoteCallError(f"{method} failed: the MCP server '{name}' has no resources for this tool")
        try:
            return await self._servers[name].resources(method, params)
        except RemoteCallError as error:
            raise RemoteCallError(f"{method} failed: {error}") from error


def tool_for(name: str, arguments: str) -> RemoteTool:
    """Return a call as that of a tool of the server that it names, for its approval and its events."""
    try:
        server = msgspec.json.decode(arguments, type=_ListArguments).server
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        server = None  # the call itself then tells the model what is wrong
    return RemoteTool(server or NO_SERVER, name, hints=_READING)


def _converted(arguments: JsonObject | None, form: type[_T]) -> _T:
    try:
        return msgspec.convert(arguments or {}, form)
    except msgspec.ValidationError as error:
        raise RemoteCallError(f"failed to parse arguments: {error}") from error


def _marked(server: str, entries: object) -> list[JsonObject]:
    return [{**entry, "server": server} for entry in as_list(entries) if isinstance(entry, dict)]


def _definition(name: str, description: str, required: list[str], **properties: str) -> JsonObject:
    described = {member: {"type": "string", "description": text} for member, text in sorted(properties.items())}
    parameters = {"type": "object", "properties": described, "required": required, "additionalProperties": False}
    return {"type": "function", "name": name, "description": description, "strict": False, "parameters": parameters}


_CURSOR: Final = "`nextCursor` of the page before, to get the next one; only with `server`."
_SERVER: Final = "Name of the one MCP server to ask; all of them if left out."
_DEFINITIONS: Final = (
    _definition(
        "list_mcp_resource_templates",
        "List the patterns of addresses under which MCP servers have resources with parameters, such as files by path.",
        [],
        server=_SERVER,
        cursor=_CURSOR,
    ),
    _definition(
        "list_mcp_resources",
        "List the resources of MCP servers: files, schemas, documents or other data that can be read by their address.",
        [],
        server=_SERVER,
        cursor=_CURSOR,
    ),
    _definition(
        _READ,
        "Read a resource of an MCP server.",
        ["server", "uri"],
        server="Name of the MCP server, as the lists tell it.",
        uri="Address of the resource, from a list or made from a template.",
    ),
)
