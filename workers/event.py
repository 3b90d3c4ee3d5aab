"""The events of a turn, each a JSON object tagged by `type`, in the superset of fields that spec/wire 5.6 recommends.

Deltas are put together from bytes, since they are the hot path; everything else is rare enough for a dictionary.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from protocol.ids import ConversationId, TurnId
from workers.model.items import JsonObject

encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode

TEXT_DELTA: Final = (b'{"type":"agent_message_delta","delta":', b"}")
REASONING_DELTA: Final = (b'{"type":"agent_reasoning_delta","delta":', b"}")
RAW_REASONING_DELTA: Final = (b'{"type":"agent_reasoning_raw_content_delta","delta":', b"}")
SECTION_BREAK: Final = b'{"type":"agent_reasoning_section_break"}'


def session_configured(
    conversation_id: ConversationId,
    model: str,
    provider_id: str,
    approval_policy: str,
    sandbox_policy: JsonObject,
    cwd: str,
    effort: str | None,
    session_path: str,
) -> JsonObject:
    """The first event of every conversation."""
    event: JsonObject = {
        "type": "session_configured",
        "session_id": conversation_id,
        "thread_id": conversation_id,
        "model": model,
        "model_provider_id": provider_id,
        "approval_policy": approval_policy,
        "sandbox_policy": sandbox_policy,
        "cwd": cwd,
        "history_log_id": 0,
        "history_entry_count": 0,
        "rollout_path": session_path,
    }
    return event if effort is None else {**event, "reasoning_effort": effort}


def task_started(turn_id: TurnId, started_at: int, context_window: int | None) -> JsonObject:
    """A turn begins. `started_at` is in seconds since the epoch."""
    return {
        "type": "task_started",
        "turn_id": turn_id,
        "started_at": started_at,
        "model_context_window": context_window,
    }


def task_complete(turn_id: TurnId, last_message: str | None, started_at: int, duration: float) -> JsonObject:
    """A turn ends by itself, well or not. `duration` is in seconds."""
    return {
        "type": "task_complete",
        "turn_id": turn_id,
        "last_agent_message": last_message,
        "started_at": started_at,
        "completed_at": round(started_at + duration),
        "duration_ms": round(duration * 1000),
    }


def turn_aborted(turn_id: TurnId, reason: str, started_at: int, duration: float) -> JsonObject:
    """A turn is stopped. `reason` is one of those of spec/wire 6.10."""
    return {
        "type": "turn_aborted",
        "turn_id": turn_id,
        "reason": reason,
        "started_at": started_at,
        "completed_at": round(started_at + duration),
        "duration_ms": round(duration * 1000),
    }


def user_message(text: str) -> JsonObject:
    """What the user said, as session files list it."""
    return {
        "type": "user_message",
        "message": text,
        "images": [],
        "local_images": [],
        "text_elements": [],
    }


def agent_message(text: str, phase: object = None) -> JsonObject:
    """A complete text of the agent."""
    return {"type": "agent_message", "message": text, "phase": phase, "memory_citation": None}


def web_search_end(item: JsonObject) -> JsonObject:
    """The server has searched the web, or looked at a page."""
    action = item.get("action")
    return {
        "type": "web_search_end",
        "call_id": str(item.get("id") or ""),
        "query": _sought(action if isinstance(action, dict) else {}),
        "action": action,
    }


def _sought(action: Mapping[str, object]) -> str:
    match action:
        case {"query": str(query)} if query:
            return query
        case {"queries": list(queries)}:
            return ", ".join(map(str, queries))
        case {"pattern": str(pattern), "url": str(url)}:
            return f"{pattern} in {url}"
        case {"url": str(url)}:
            return url
        case _:
            return ""


def error(message: str) -> JsonObject:
    """The turn failed."""
    return {"type": "error", "message": message, "codex_error_info": "other"}
