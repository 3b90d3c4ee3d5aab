"""The saved conversations of a home: what their files contain, and their present state.

Files are read on threads, so that a long one does not block the loop.
"""

import asyncio
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

from greenroom.protocol.errors import SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state import lifecycle
from greenroom.supervisor.conversations.state.conversation import Conversation

if TYPE_CHECKING:
    from greenroom.sessions.fork import Fork
    from greenroom.sessions.index import SessionEntry, Story

Standing: TypeAlias = lifecycle.LifecycleState | Literal["saved", "elsewhere"]
"""State of a conversation; `saved` has not been used in this run, `elsewhere` is open in another process."""


class SavedConversations:
    """The conversations of one home."""

    def __init__(self, home: str, conversations: Conversations) -> None:
        self._home = home
        self._conversations = conversations

    async def page(self, limit: int, after: str = "") -> "tuple[list[SessionEntry], str | None]":
        """Return saved conversations (`greenroom.sessions.index.session_page`). Raises `ValueError`."""
        from greenroom.sessions import index as session_index

        return await asyncio.to_thread(session_index.session_page, self._home, limit, after)

    async def story(self, conversation_id: ConversationId) -> "Story":
        """Return everything that was said in a conversation. Raises `SessionUnknownError` or `SessionFileError`."""
        from greenroom.sessions import index as session_index

        return await asyncio.to_thread(session_index.story, self._home, conversation_id)

    async def diff(self, conversation_id: ConversationId) -> str:
        """Return every patch that was applied. Raises `SessionUnknownError` or `SessionFileError`."""
        from greenroom.sessions import index as session_index
        from greenroom.workers.patch.stored import as_diff

        changes = await asyncio.to_thread(session_index.file_changes, self._home, conversation_id)
        return as_diff(changes.patches, changes.cwd)

    async def fork(self, conversation_id: ConversationId, turns: int | None) -> "Fork":
        """Copy the beginning of a conversation into a new one. Raises `SessionUnknownError` or `SessionFileError`."""
        from greenroom.sessions import index as session_index

        return await asyncio.to_thread(session_index.fork_conversation, self._home, conversation_id, turns)

    async def is_saved(self, conversation_id: ConversationId) -> bool:
        """Tell whether a conversation has a file."""
        from greenroom.sessions import index as session_index

        return await asyncio.to_thread(session_index.exists, self._home, conversation_id)

    async def beginning_with(self, text: str) -> list[ConversationId]:
        """Return the ids of saved conversations that start with `text`, the newest first."""
        from greenroom.sessions import index as session_index

        wanted = text.lower()
        return await asyncio.to_thread(session_index.search, self._home, lambda name: name.startswith(wanted))

    def here(self, conversation_id: ConversationId) -> Conversation | None:
        """Return a conversation of this run, unless it has rested for long."""
        return self._conversations.find(conversation_id)

    def unsaved(self) -> list[Conversation]:
        """Return those that may have no file yet."""
        return [one for one in self._conversations if one.is_unsaved]

    def state_of(self, entry: "SessionEntry") -> Standing:
        """Tell the state of a saved conversation."""
        live = self.here(entry.id)
        if live is not None and live.state != "closed":
            return live.state
        return "saved" if entry.writer is None else "elsewhere"


def read_conversation_id(text: str) -> ConversationId:
    """Return an id in canonical form. Raises `SessionUnknownError` for a text that is no id."""
    try:
        return ConversationId(str(UUID(text)))
    except ValueError:
        raise SessionUnknownError(f"{text[:100]!r} is no id of a conversation; `codex-list` tells them.") from None
