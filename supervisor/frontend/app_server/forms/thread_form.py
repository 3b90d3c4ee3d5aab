"""Renders conversations as threads of this protocol."""

import time
from datetime import datetime
from uuid import UUID

from greenroom.protocol.app_server.thread import Thread, ThreadStatus
from greenroom.protocol.app_server.wire import CODEX_VERSION
from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.app_server.thread_settings import SessionSettings

SOURCE = "appServer"
"""What clients are told of every conversation of this program."""


def live_thread(conversation: Conversation, settings: SessionSettings, status: ThreadStatus) -> Thread:
    """Return a conversation that is open, without its turns."""
    began, placement = born(conversation.id), conversation.placement
    return Thread(
        id=conversation.id,
        session_id=conversation.id,
        preview=conversation.title or "",
        ephemeral=conversation.ephemeral,
        model_provider=settings.provider,
        created_at=began,
        updated_at=max(began, round(time.time())),
        status=status,
        cwd=settings.cwd,
        cli_version=CODEX_VERSION,
        source=SOURCE,
        project_id=None,
        turns=[],
        path=None if placement is None else placement.session_path or None,
        model=settings.model,
        reasoning_effort=settings.effort,
    )


def born(conversation_id: ConversationId, timestamp: str = "") -> int:
    """Return when a conversation began, in seconds since the epoch: its id tells, else its file, else it is now."""
    parsed = UUID(conversation_id)
    if parsed.version == 7:
        return (parsed.int >> 80) // 1000
    try:
        return round(datetime.fromisoformat(timestamp).timestamp())
    except ValueError:
        return round(time.time())
