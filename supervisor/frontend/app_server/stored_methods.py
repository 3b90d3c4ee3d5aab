"""The methods about saved threads: list and read them, name them, put them aside, delete them."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from greenroom.protocol.app_server import threads as wire
from greenroom.protocol.app_server.notifications import (
    ThreadArchived,
    ThreadDeleted,
    ThreadNameUpdated,
    ThreadNotification,
    ThreadReverted,
    ThreadUnarchived,
)
from greenroom.protocol.app_server.thread import Active, Idle, NotLoaded, Thread, ThreadStatus
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.jobs.worktrees import WorktreeRelease
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.forms.history_form import (
    MOST,
    PAGE,
    HistoryPage,
    item_entries,
    page_of,
    saved_thread,
    stored_turn,
)
from greenroom.supervisor.frontend.app_server.forms.thread_form import live_thread
from greenroom.supervisor.frontend.app_server.saved_threads import SavedThreads
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions, read_thread_id
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer

if TYPE_CHECKING:
    from greenroom.sessions.thread_list import Query

_OWN_SOURCES: Final = frozenset({"appServer", "cli", "vscode", "exec", "unknown"})
"""Kinds of sources that the conversations of a home may have; others belong to agents of agents."""


class StoredMethods:
    """These methods on one connection."""

    def __init__(
        self,
        conversations: Conversations,
        sessions: ThreadSessions,
        saved: SavedThreads,
        channel: AppServerChannel,
        worktrees: WorktreeRelease,
    ) -> None:
        self._conversations = conversations
        self._sessions = sessions
        self._saved = saved
        self._channel = channel
        self._worktrees = worktrees
        self.methods: Mapping[str, AnswerMethod] = {
            "thread/list": self._list,
            "thread/read": self._read,
            "thread/turns/list": self._turns,
            "thread/items/list": self._items,
            "thread/name/set": self._set_name,
            "thread/archive": self._archive,
            "thread/unarchive": self._unarchive,
            "thread/delete": self._delete,
            "thread/revert": self._revert,
        }

    async def described(self, conversation_id: ConversationId, *, with_turns: bool) -> Thread:
        """Return a thread, in use or not. Raises `RefusedError`."""
        conversation = self._conversations.find(conversation_id)
        try:
            entry = await self._saved.entry(conversation_id)
        except RefusedError:
            session = self._sessions.find(conversation_id)
            if conversation is None or session is None or session.settings is None:
                raise
            return live_thread(conversation, session.settings, session.status)  # nothing has been said in it
        thread = saved_thread(entry, self.status(conversation_id))
        if not with_turns:
            return thread
        history = await self._saved.history(conversation_id)
        running = None if conversation is None or conversation.running is None else conversation.running.id
        turns = [stored_turn(turn, "full", running) for turn in history.turns]
        return msgspec.structs.replace(thread, turns=turns)

    def status(self, conversation_id: ConversationId) -> ThreadStatus:
        """Return whether a thread is in use, and what it does."""
        session, conversation = self._sessions.find(conversation_id), self._conversations.find(conversation_id)
        if conversation is None:
            return NotLoaded()
        if session is not None:
            return session.status
        return Idle() if conversation.running is None else Active(active_flags=[])

    async def _list(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadListParams, b"{}")
        kinds = params.source_kinds
        if kinds and not _OWN_SOURCES & set(kinds):
            return RequestAnswer(encode(wire.ThreadListResponse(data=[])))
        limit = min(params.limit or PAGE, MOST)
        found, following = await self._saved.page(_query(params), limit, params.cursor or "")
        data = [saved_thread(entry, self.status(entry.id)) for entry in found]
        return RequestAnswer(encode(wire.ThreadListResponse(data=data, next_cursor=following)))

    async def _read(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadReadParams)
        thread = await self.described(read_thread_id(params.thread_id), with_turns=params.include_turns)
        return RequestAnswer(encode(wire.ThreadResponse(thread=thread)))

    async def _turns(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadTurnsListParams)
        conversation_id = read_thread_id(params.thread_id)
        conversation = self._conversations.find(conversation_id)
        running = None if conversation is None or conversation.running is None else conversation.running.id
        history = await self._saved.history(conversation_id)
        rows = [(turn.id, stored_turn(turn, params.items_view or "summary", running)) for turn in history.turns]
        return _page_answer(page_of(rows, params.cursor, params.limit, params.sort_direction or "desc"))

    async def _items(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadItemsListParams)
        history = await self._saved.history(read_thread_id(params.thread_id))
        rows = item_entries(history.turns, params.turn_id)
        cursor = params.cursor
        if isinstance(cursor, wire.ItemAnchor):
            anchor = cursor.item_id
            cursor = next((f"@{key}" for key, entry in rows if entry.item.id == anchor), f"@{anchor}")
        return _page_answer(page_of(rows, cursor, params.limit, params.sort_direction or "asc"))

    async def _set_name(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadSetNameParams)
        conversation_id, name = read_thread_id(params.thread_id), params.name.strip()
        if not name:
            raise RefusedError(INVALID_REQUEST, "thread name must not be empty")
        await self.described(conversation_id, with_turns=False)
        await self._saved.give_name(conversation_id, name)
        return RequestAnswer(
            then=partial(self._channel.tell, ThreadNameUpdated(thread_id=conversation_id, thread_name=name))
        )

    async def _archive(self, request: Request) -> RequestAnswer:
        conversation_id = read_thread_id(decode(request, wire.ThreadIdParams).thread_id)
        await self._close(conversation_id)
        await self._saved.archive(conversation_id)
        await self._worktrees.release(conversation_id)
        return self._then(ThreadArchived(thread_id=conversation_id))

    async def _unarchive(self, request: Request) -> RequestAnswer:
        conversation_id = read_thread_id(decode(request, wire.ThreadIdParams).thread_id)
        await self._saved.unarchive(conversation_id)
        thread = await self.described(conversation_id, with_turns=False)
        told = partial(self._channel.tell, ThreadUnarchived(thread_id=conversation_id))
        return RequestAnswer(encode(wire.ThreadResponse(thread=thread)), told)

    async def _delete(self, request: Request) -> RequestAnswer:
        conversation_id = read_thread_id(decode(request, wire.ThreadIdParams).thread_id)
        await self._close(conversation_id)
        await self._saved.delete(conversation_id)
        await self._worktrees.release(conversation_id)
        return self._then(ThreadDeleted(thread_id=conversation_id))

    async def _revert(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadRevertParams)
        conversation_id = read_thread_id(params.thread_id)
        conversation = self._conversations.find(conversation_id)
        if conversation is not None and conversation.running is not None:
            raise RefusedError(INVALID_REQUEST, "thread cannot be reverted while a turn runs")
        await self._close(conversation_id)
        await self._saved.revert(conversation_id, params.before_turn_id)
        if conversation is not None:
            again = self._conversations.take_up(conversation_id, None, conversation.overrides)
            (await self._sessions.open(again)).release()
        thread = await self.described(conversation_id, with_turns=False)
        told = partial(self._channel.tell, ThreadReverted(thread_id=conversation_id))
        return RequestAnswer(encode(wire.ThreadResponse(thread=thread)), told)

    async def _close(self, conversation_id: ConversationId) -> None:
        """End a conversation that is in use, so that its file is written to its end."""
        conversation = self._conversations.find(conversation_id)
        if conversation is None:
            return
        gone = asyncio.Event()
        self._sessions.forget(conversation)
        self._conversations.dismiss(conversation, gone.set)
        await gone.wait()

    def _then(self, notification: ThreadNotification) -> RequestAnswer:
        return RequestAnswer(then=partial(self._channel.tell, notification))


def _query(params: wire.ThreadListParams) -> "Query":
    from greenroom.sessions.thread_list import Query

    cwd = params.cwd
    return Query(
        archived=bool(params.archived),
        sort="created_at" if params.sort_key in (None, "created_at", "section_position") else "updated_at",
        ascending=params.sort_direction == "asc",
        cwds=frozenset([cwd] if isinstance(cwd, str) else cwd or ()),
        providers=frozenset(params.model_providers or ()),
        text=params.search_term or "",
        included=frozenset(params.included_thread_ids or ()),
        excluded=frozenset(params.excluded_thread_ids or ()),
    )


def _page_answer(page: HistoryPage) -> RequestAnswer:
    data = [row for _, row in page.rows]
    cursors = {"nextCursor": page.next_cursor, "backwardsCursor": page.backwards_cursor}
    return RequestAnswer(encode({"data": data, **cursors}))
