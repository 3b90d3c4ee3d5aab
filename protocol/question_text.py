"""What forms of MCP say of questions: texts of models and servers are made safe to show (`greenroom.protocol.display`).

The words of a question are its own (`greenroom.protocol.approval.Question.words`).
"""

from typing import Final

from greenroom.protocol.approval import ToolQuestion
from greenroom.protocol.display import shown_lines
from greenroom.protocol.items import JsonObject

_FOR_PEOPLE: Final = frozenset({"title", "description", "enumNames"})
"""Members of a schema that are shown, and not used for validation."""


def tool_meta(question: ToolQuestion) -> JsonObject:
    """Return the `_meta` of a question about a tool call: its kind, its arguments, and the description of its tool."""
    return {
        "codex_approval_kind": "mcp_tool_call",
        "persist": ["session"],
        "tool_description": shown_lines(question.description),
        "tool_params": question.arguments or {},
    }


def form_of(schema: JsonObject) -> JsonObject:
    """Make the texts of a form safe to show; names and values stay, since the answer is validated against them."""
    return {name: _part(name, value) for name, value in schema.items()}


def _part(name: str, value: object) -> object:
    match value:
        case dict():
            return form_of(value)
        case list():
            return [_part(name, part) for part in value]
        case str() if name in _FOR_PEOPLE:
            return shown_lines(value)
    return value
