"""The events of a turn that need more than their struct: constant members, and members derived from their causes.

Deltas are assembled from bytes in `event_emitter`, because they are the hot path.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import UNSET

from greenroom.config.settings import Settings
from greenroom.protocol.events.mcp import McpStartupComplete, ServerFailure
from greenroom.protocol.events.text import AgentMessage, UserMessage
from greenroom.protocol.events.tool import WebSearchEnd
from greenroom.protocol.events.turn import (
    ErrorEvent,
    ErrorInfo,
    SessionConfigured,
    StreamError,
    TaskComplete,
    TaskStarted,
    TurnAborted,
    WarningEvent,
)
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.items import JsonObject

encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode

SECTION_BREAK: Final = b'{"type":"agent_reasoning_section_break"}'


def session_configured(conversation_id: ConversationId, settings: Settings, session_path: str) -> SessionConfigured:
    """The first event of every conversation."""
    return SessionConfigured(
        session_id=conversation_id,
        thread_id=conversation_id,
        model=settings.model,
        model_provider_id=settings.provider_id,
        approval_policy=settings.approval_policy,
        approvals_reviewer=settings.reviewer,
        sandbox_policy=msgspec.to_builtins(settings.sandbox_policy),
        cwd=settings.cwd,
        history_log_id=0,
        history_entry_count=0,
        rollout_path=session_path,
        reasoning_effort=UNSET if settings.reasoning_effort is None else settings.reasoning_effort,
    )


def no_mcp_servers(faulty: Mapping[str, str]) -> McpStartupComplete:
    """No MCP server is started, so that no client waits for one. `faulty`: reasons, by the name of the server."""
    failed = [ServerFailure(name, fault) for name, fault in faulty.items()]
    return McpStartupComplete(ready=[], failed=failed, cancelled=[])


def task_started(turn_id: TurnId, started_at: int, context_window: int | None) -> TaskStarted:
    """A turn begins. `started_at` is in seconds since the epoch."""
    return TaskStarted(
        turn_id=turn_id,
        started_at=started_at,
        model_context_window=context_window,
        collaboration_mode_kind="default",
    )


def task_complete(
    turn_id: TurnId,
    last_message: str | None,
    started_at: int,
    duration: float,
    first_token_after: float | None,
    failure: ErrorEvent | None = None,
) -> TaskComplete:
    """A turn has ended by itself. Times are in seconds; `failure` is the event of its error, if it failed."""
    return TaskComplete(
        turn_id=turn_id,
        last_agent_message=last_message,
        started_at=started_at,
        completed_at=round(started_at + duration),
        duration_ms=round(duration * 1000),
        time_to_first_token_ms=UNSET if first_token_after is None else round(first_token_after * 1000),
        error=UNSET if failure is None else msgspec.structs.asdict(failure),
    )


def turn_aborted(turn_id: TurnId, reason: str, started_at: int, duration: float) -> TurnAborted:
    """A turn was stopped. `reason` is a word that clients know, such as `interrupted`."""
    return TurnAborted(
        turn_id=turn_id,
        reason=reason,
        started_at=started_at,
        completed_at=round(started_at + duration),
        duration_ms=round(duration * 1000),
    )


def user_message(text: str) -> UserMessage:
    """A message of the user, as session files store it."""
    return UserMessage(
        message=text,
        kind="plain",
        images=[],
        local_images=[],
        audio=[],
        local_audio=[],
        text_elements=[],
    )


def agent_message(text: str, phase: object = None) -> AgentMessage:
    """A complete text of the agent."""
    return AgentMessage(message=text, phase=phase if isinstance(phase, str) else None, memory_citation=None)


def web_search_end(item: JsonObject) -> WebSearchEnd:
    """The model's server has searched the web, or opened a page."""
    found = item.get("action")
    action = found if isinstance(found, dict) else None
    return WebSearchEnd(call_id=str(item.get("id") or ""), query=_query(action or {}), action=action)


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


def error(message: str, info: ErrorInfo) -> ErrorEvent:
    """The turn failed. `info` is the kind of failure for programs
    (`greenroom.workers.model.outcome.attempt.error_info`)."""
    return ErrorEvent(message=message, codex_error_info=info)


def stream_error(message: str) -> StreamError:
    """The model's answer broke off, and the request is repeated."""
    return StreamError(message=message, codex_error_info="other", additional_details=None)


def warning(text: str) -> WarningEvent:
    """Something that the user should know, though the conversation goes on."""
    return WarningEvent(text)
