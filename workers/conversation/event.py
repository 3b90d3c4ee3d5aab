"""The events of a turn, each a JSON object tagged by `type`, with the fields that clients of all versions read.

Deltas are assembled from bytes, because they are the hot path; all other events are rare enough for a dictionary.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from greenroom.config.settings import Settings
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.items import JsonObject

encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode

SECTION_BREAK: Final = b'{"type":"agent_reasoning_section_break"}'


def session_configured(conversation_id: ConversationId, settings: Settings, session_path: str) -> JsonObject:
    """The first event of every conversation."""
    event: JsonObject = {
        "type": "session_configured",
        "session_id": conversation_id,
        "thread_id": conversation_id,
        "model": settings.model,
        "model_provider_id": settings.provider_id,
        "approval_policy": settings.approval_policy,
        "approvals_reviewer": "user",
        "sandbox_policy": msgspec.to_builtins(settings.sandbox_policy),
        "cwd": settings.cwd,
        "history_log_id": 0,
        "history_entry_count": 0,
        "rollout_path": session_path,
    }
    effort = settings.reasoning_effort
    return event if effort is None else {**event, "reasoning_effort": effort}


def no_mcp_servers(faulty: Mapping[str, str]) -> JsonObject:
    """No MCP server is started, so that no client waits for one. `faulty`: reasons, by the name of the server."""
    failed = [{"server": name, "error": fault} for name, fault in faulty.items()]
    return {"type": "mcp_startup_complete", "ready": [], "failed": failed, "cancelled": []}


def task_started(turn_id: TurnId, started_at: int, context_window: int | None) -> JsonObject:
    """A turn begins. `started_at` is in seconds since the epoch."""
    return {
        "type": "task_started",
        "turn_id": turn_id,
        "started_at": started_at,
        "model_context_window": context_window,
        "collaboration_mode_kind": "default",
    }


def task_complete(
    turn_id: TurnId,
    last_message: str | None,
    started_at: int,
    duration: float,
    first_token_after: float | None,
    failure: JsonObject | None = None,
) -> JsonObject:
    """A turn has ended by itself. Times are in seconds; `failure` is the event of its error, if it failed."""
    event: JsonObject = {
        "type": "task_complete",
        "turn_id": turn_id,
        "last_agent_message": last_message,
        "started_at": started_at,
        "completed_at": round(started_at + duration),
        "duration_ms": round(duration * 1000),
    }
    if first_token_after is not None:
        event["time_to_first_token_ms"] = round(first_token_after * 1000)
    if failure is not None:
        event["error"] = {name: value for name, value in failure.items() if name != "type"}
    return event


def turn_aborted(turn_id: TurnId, reason: str, started_at: int, duration: float) -> JsonObject:
    """A turn was stopped. `reason` is a word that clients know, such as `interrupted`."""
    return {
        "type": "turn_aborted",
        "turn_id": turn_id,
        "reason": reason,
        "started_at": started_at,
        "completed_at": round(started_at + duration),
        "duration_ms": round(duration * 1000),
    }


def user_message(text: str) -> JsonObject:
    """A message of the user, as session files store it."""
    return {
        "type": "user_message",
        "message": text,
        "kind": "plain",
        "images": [],
        "local_images": [],
        "audio": [],
        "local_audio": [],
        "text_elements": [],
    }


def agent_message(text: str, phase: object = None) -> JsonObject:
    """A complete text of the agent."""
    return {"type": "agent_message", "message": text, "phase": phase, "memory_citation": None}


def web_search_end(item: JsonObject) -> JsonObject:
    """The model's server has searched the web, or opened a page."""
    action = item.get("action")
    return {
        "type": "web_search_end",
        "call_id": str(item.get("id") or ""),
        "query": _query(action if isinstance(action, dict) else {}),
        "action": action,
    }


def _query(action: Mapping[str, object]) -> str:
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


def error(message: str | None, info: object) -> JsonObject:
    """The turn failed. `info` is the kind of failure for programs (`greenroom.workers.model.outcome.error_info`)."""
    return {"type": "error", "message": message, "codex_error_info": info}


def stream_error(message: str) -> JsonObject:
    """The model's answer broke off, and the request is repeated."""
    return {"type": "stream_error", "message": message, "codex_error_info": "other", "additional_details": None}


def warning(text: str) -> JsonObject:
    """Something that the user should know, though the conversation goes on."""
    return {"type": "warning", "message": text}
