"""Questions to the user in words. Texts of models and servers are made safe to show (`greenroom.protocol.display`)."""

from typing import Final

from greenroom.protocol.approval import AnyQuestion, CommandQuestion, PatchQuestion, ToolQuestion
from greenroom.protocol.display import shown, shown_lines
from greenroom.protocol.items import JsonObject

_FOR_PEOPLE: Final = frozenset({"title", "description", "enumNames"})
"""Members of a schema that are shown, and not used for validation."""


def message_of(question: AnyQuestion) -> str:
    """Return the question as the user reads it."""
    match question:
        case CommandQuestion():
            return f"Allow Codex to run `{shown(question.shell_text)}` in `{shown(question.cwd)}`?"
        case PatchQuestion():
            text = "Allow Codex to apply proposed code changes?"
            return text if question.reason is None else f"{shown(question.reason)}\n{text}"
        case ToolQuestion():
            tool, server = shown(question.tool), shown(question.server)
            return f"Allow Codex to call the tool `{tool}` of the MCP server `{server}`?"
    # A server's own question: its lines are marked, so that none of them can pose as one of Greenroom's.
    marked = shown_lines(question.message).replace("\n", "\n| ")
    return f"{shown(question.server)}: {marked}"


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
