"""The saved threads of a home. Files are read on threads of their own, so that a long one does not block the loop."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import INVALID_REQUEST
from greenroom.supervisor.frontend.request_params import RefusedError

if TYPE_CHECKING:
    from greenroom.sessions.records.thread_history import ThreadHistory
    from greenroom.sessions.thread_list import Query, ThreadEntry

T = TypeVar("T")


class SavedThreads:
    """All methods raise `RefusedError` where there is no such thread, or its file cannot be read or changed."""

    def __init__(self, home: str) -> None:
        self._home = home

    async def page(self, query: "Query", limit: int, after: str) -> "tuple[list[ThreadEntry], str | None]":
        """Return threads and the cursor of the next page."""
        from greenroom.sessions import thread_list

        try:
            return await asyncio.to_thread(thread_list.thread_page, self._home, query, limit, after)
        except ValueError:
            raise RefusedError(INVALID_REQUEST, f"invalid cursor: {after}") from None

    async def entry(self, conversation_id: ConversationId) -> "ThreadEntry":
        """Return what is known of a thread without its turns."""
        from greenroom.sessions import thread_list

        return await self._do(thread_list.entry, conversation_id)

    async def history(self, conversation_id: ConversationId) -> "ThreadHistory":
        """Return the turns of a thread."""
        from greenroom.sessions import thread_list

        return await self._do(thread_list.history, conversation_id)

    async def fork(self, conversation_id: ConversationId, turns: int | None) -> ConversationId:
        """Copy the first turns of a thread into a new one, and return its id."""
        from greenroom.sessions import index

        made = await self._do(lambda home, origin: index.fork_conversation(home, origin, turns), conversation_id)
        return made.conversation_id

    async def archive(self, conversation_id: ConversationId) -> None:
        """Put a thread aside."""
        from greenroom.sessions import shelf

        await self._do(shelf.archive, conversation_id)

    async def unarchive(self, conversation_id: ConversationId) -> None:
        """List a thread again."""
        from greenroom.sessions import shelf

        await self._do(shelf.unarchive, conversation_id)

    async def delete(self, conversation_id: ConversationId) -> None:
        """Delete a thread, unless its file holds the beginning of others."""
        from greenroom.sessions import retention

        await self._do(retention.delete_unless_forked, conversation_id)

    async def revert(self, conversation_id: ConversationId, before_turn: str) -> None:
        """Take back a turn and those that follow it."""
        from greenroom.sessions import rollback

        await self._do(lambda home, one: rollback.revert(home, one, before_turn), conversation_id)

    async def give_name(self, conversation_id: ConversationId, name: str) -> None:
        """Name a thread."""
        from greenroom.config.reader import Reader
        from greenroom.sessions import names

        await self._do(lambda home, one: names.give_name(Reader(home), one, name), conversation_id)

    async def _do(self, work: Callable[[str, ConversationId], T], conversation_id: ConversationId) -> T:
        try:
            return await asyncio.to_thread(work, self._home, conversation_id)
        except GreenroomError as error:
            raise RefusedError(INVALID_REQUEST, str(error)) from None
