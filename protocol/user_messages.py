"""Which messages under the user's name are the user's own, and which were put there for the model: context, summaries.

Session files and clients are told the user's messages only, so the two are told apart by how context begins and ends.
"""

from collections.abc import Mapping
from typing import Final

from greenroom.protocol.items import JsonObject, as_list

NO_SUMMARY: Final = "(no summary available)"

SUMMARY_PREFIX: Final = (
    "The conversation up to here was summarised to make room. Another model did the work that the summary tells of; go "
    "on from where it stopped, and trust the summary rather than doing things twice.\n"
)
"""Begins the message that stands for a compacted history."""

_CONTEXT_FORMS: Final = (
    ("<environment_context>", "</environment_context>"),
    ("# AGENTS.md instructions for ", "</INSTRUCTIONS>"),
    ("<user_instructions>", "</user_instructions>"),
    ("<turn_aborted>", "</turn_aborted>"),
    (SUMMARY_PREFIX, ""),
)
"""How texts begin and end that stand in a user's message without being the user's; the third is that of 2025."""


def summary_message(summary: str) -> JsonObject:
    """Return the message that stands for a history that was compacted."""
    text = SUMMARY_PREFIX + (summary.strip() or NO_SUMMARY)
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def is_context_message(item: Mapping[str, object]) -> bool:
    """Tell whether a message under the user's name holds nothing but context that was put there for the model."""
    if item.get("type") != "message" or item.get("role") != "user":
        return False
    parts = as_list(item.get("content"))
    return bool(parts) and all(_is_context(part) for part in parts)


def is_user_message(item: Mapping[str, object]) -> bool:
    """Tell whether an item is what the user said."""
    return item.get("type") == "message" and item.get("role") == "user" and not is_context_message(item)


def _is_context(part: object) -> bool:
    text = part.get("text") if isinstance(part, dict) else None
    if not isinstance(text, str):
        return False
    text = text.strip()
    return any(text.startswith(start.strip()) and text.endswith(end) for start, end in _CONTEXT_FORMS)
