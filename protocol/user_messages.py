"""Tells the user's own messages from those added for the model in the user's role (context, summaries).

Session files and clients get only the user's messages, so the added ones are recognized by how they begin and end.
"""

from collections.abc import Mapping
from typing import Final

from greenroom.protocol.items import JsonObject, as_list

NO_SUMMARY: Final = "(no summary available)"

SUMMARY_PREFIX: Final = (
    "The conversation up to here was summarised to make room. Another model did the work that the summary tells of; go "
    "on from where it stopped, and trust the summary rather than doing things twice.\n"
)
"""Begins the message that replaces a compacted history."""

_CONTEXT_FORMS: Final = (
    ("<environment_context>", "</environment_context>"),
    ("# AGENTS.md instructions for ", "</INSTRUCTIONS>"),
    ("<user_instructions>", "</user_instructions>"),
    ("<turn_aborted>", "</turn_aborted>"),
    ("<skill>\n<name>", "</skill>"),
    ("<user_shell_command>", "</user_shell_command>"),
    ("<codex_internal_context", "</codex_internal_context>"),
    (SUMMARY_PREFIX, ""),
)
"""How added texts within a user's message begin and end; the third is that of 2025."""


def summary_message(summary: str) -> JsonObject:
    """Return the message that replaces a compacted history."""
    text = SUMMARY_PREFIX + (summary.strip() or NO_SUMMARY)
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def is_context_message(item: Mapping[str, object]) -> bool:
    """Tell whether a message in the user's role consists only of added context."""
    if item.get("type") != "message" or item.get("role") != "user":
        return False
    parts = as_list(item.get("content"))
    return bool(parts) and all(_is_context(part) for part in parts)


def is_user_message(item: Mapping[str, object]) -> bool:
    """Tell whether an item is a message by the user."""
    return item.get("type") == "message" and item.get("role") == "user" and not is_context_message(item)


def _is_context(part: object) -> bool:
    text = part.get("text") if isinstance(part, dict) else None
    if not isinstance(text, str):
        return False
    text = text.strip()
    return any(text.startswith(start.strip()) and text.endswith(end) for start, end in _CONTEXT_FORMS)
