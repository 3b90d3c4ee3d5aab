"""The servers' tools as offered to the model, and the lookup of tools by the model's names."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from greenroom.config.tables.providers import WireApi
from greenroom.config.tables.servers import McpServer
from greenroom.protocol.items import JsonObject
from greenroom.workers.mcp.tools.naming import qualify, spellings
from greenroom.workers.mcp.tools.schema import UnfitSchemaError, read_schema
from greenroom.workers.mcp.tools.tool import RemoteTool
from greenroom.workers.mcp.tools.wire_schema import fit

log = logging.getLogger(__name__)


class Catalog:
    """An immutable snapshot of the tools of all servers."""

    def __init__(
        self, tools: Iterable[RemoteTool], servers: Mapping[str, McpServer], wire: WireApi = "responses"
    ) -> None:
        """Tools that the server's table disables are left out."""
        offered = {tool.identity: tool for tool in tools if servers[tool.server].offers(tool.name)}
        self._tools = {name: offered[identity] for identity, name in qualify(offered).items()}
        self.definitions: Final[Sequence[JsonObject]] = _definitions(self._tools, wire)
        """The declarations for a request, sorted by name. A tool whose schema cannot be declared is missing."""

    def find(self, name: str, namespace: str | None = None) -> RemoteTool | None:
        """Return the tool of a name, even if it was not declared."""
        for spelling in spellings(name, namespace):
            if spelling in self._tools:
                return self._tools[spelling]
        return None


def _definitions(tools: Mapping[str, RemoteTool], wire: WireApi) -> list[JsonObject]:
    definitions: list[JsonObject] = []
    for name, tool in tools.items():
        try:
            # A tool without a schema has no parameters.
            sound = read_schema({} if tool.schema is None else tool.schema)
            parameters = fit(sound.schema, wire)
        except UnfitSchemaError as error:
            log.warning("the tool %r of the MCP server %r is not offered: %s", tool.name, tool.server, error)
            continue
        if sound.faults:
            what = "; ".join(sound.faults)
            log.warning("the tool %r of the MCP server %r is offered without: %s", tool.name, tool.server, what)
        description = "\n\n".join(text for text in (tool.description, parameters.rule) if text)
        declared: JsonObject = {"type": "function", "name": name, "description": description}
        definitions.append({**declared, "strict": False, "parameters": parameters.schema})
    return definitions
