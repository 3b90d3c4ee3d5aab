"""A tool as listed by its server."""

from typing import TypeAlias

import msgspec

from greenroom.protocol.items import JsonObject
from greenroom.workers.approval.remote_tools import Hints

ToolIdentity: TypeAlias = tuple[str, str]
"""Server and tool, by their original names."""


class RemoteTool(msgspec.Struct, frozen=True):
    """One entry of a server's `tools/list`, of which only the name is validated."""

    server: str
    name: str
    description: str = ""
    schema: object = None
    """The `inputSchema`, unvalidated."""
    hints: Hints = Hints()

    @property
    def identity(self) -> ToolIdentity:
        """Identifies the tool."""
        return self.server, self.name


def read_tools(server: str, listed: list[object]) -> list[RemoteTool]:
    """Return the tools of a listing. Entries without a name, and duplicates, are skipped."""
    found: dict[str, RemoteTool] = {}
    for entry in listed:
        if isinstance(entry, dict) and (tool := _read(server, entry)) is not None:
            found.setdefault(tool.name, tool)
    return list(found.values())


def _read(server: str, entry: JsonObject) -> RemoteTool | None:
    name, description = entry.get("name"), entry.get("description")
    if not isinstance(name, str) or not name:
        return None
    return RemoteTool(
        server,
        name,
        description if isinstance(description, str) else "",
        entry.get("inputSchema"),
        _hints(entry.get("annotations")),
    )


def _hints(annotations: object) -> Hints:
    given = annotations if isinstance(annotations, dict) else {}
    said = (given.get(name) for name in ("readOnlyHint", "destructiveHint", "openWorldHint"))
    return Hints(*(hint if isinstance(hint, bool) else None for hint in said))
