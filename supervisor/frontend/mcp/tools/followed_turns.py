"""Finds out how the turns of a conversation go on or have ended: in this run of the server, or in the session file."""

import os
import time
from typing import TYPE_CHECKING

from greenroom.protocol.errors import SessionUnknownError
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.spending import spending_json
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.started_turns import StartedTurns
from greenroom.supervisor.frontend.mcp.saved_conversations import SavedConversations, Standing
from greenroom.supervisor.frontend.mcp.tools.turn_status import TurnStatus, finished_turn, latest, live_turn, saved_turn

if TYPE_CHECKING:
    from greenroom.sessions.index import Story


class FollowedTurns:
    """Those of one home, for one client."""

    def __init__(self, saved: SavedConversations, started: StartedTurns) -> None:
        self.saved = saved
        self._started = started

    def here(self, conversation_id: ConversationId) -> Conversation | None:
        """Return a conversation of this run, unless it has rested for long."""
        return self.saved.here(conversation_id)

    async def story(self, conversation_id: ConversationId) -> "Story | None":
        """Return what is saved of a conversation, `None` where nothing is and this run knows of it.

        Raises `SessionUnknownError` or `SessionFileError`.
        """
        try:
            return await self.saved.story(conversation_id)
        except SessionUnknownError:
            if self.here(conversation_id) is None and self._started.last_of(conversation_id) is None:
                raise
            return None

    def approvals(self, conversation_id: ConversationId) -> list[JsonObject]:
        """Return the questions to the user that wait in a conversation, as `codex-approvals` has them."""
        conversation = self.here(conversation_id)
        if conversation is None or conversation.pulse is None or not conversation.pulse.questions:
            return []
        from greenroom.supervisor.conversations.approval_facts import approval_members

        now = time.time()
        return [approval_members(asked, conversation.title, now) for asked in conversation.pulse.questions.values()]

    def usage(self, conversation_id: ConversationId, story: "Story") -> JsonObject:
        """Return what a conversation has used: as its process has reported it, else as it is saved."""
        conversation = self.here(conversation_id)
        if conversation is not None and conversation.spending is not None:
            return spending_json(conversation.spending)
        live = None if conversation is None else conversation.tokens
        tokens = story.entry.tokens if live is None else live
        return {} if tokens is None else {"totalTokens": tokens}

    def state_of(self, conversation_id: ConversationId, story: "Story | None") -> Standing:
        """Tell the state of a conversation."""
        if story is not None:
            return self.saved.state_of(story.entry)
        conversation = self.here(conversation_id)
        return "closed" if conversation is None else conversation.state

    def status(self, conversation_id: ConversationId, call_id: str, story: "Story | None") -> TurnStatus | None:
        """Return a turn: the one that runs, or else the last one, where `call_id` is empty."""
        conversation = self.here(conversation_id)
        live = live_turn(conversation, call_id)
        if live is not None:
            return live
        kept = self._started.find(TurnId(call_id)) if call_id else self._started.last_of(conversation_id)
        finished = None if kept is None or kept.conversation_id != conversation_id else finished_turn(kept)
        if story is None:
            return finished
        runs_elsewhere = story.entry.writer is not None and (conversation is None or conversation.worker_id is None)
        return latest(finished, saved_turn(story.log, call_id, runs_elsewhere))


class GrowthMark:
    """Tells cheaply whether a session file may have grown since it was last looked at."""

    def __init__(self) -> None:
        self._size = -1

    def has_changed(self, conversation: Conversation) -> bool:
        """Look at the file; return whether it has another size than the last time."""
        size = -1 if conversation.placement is None else _size(conversation.placement.session_path)
        changed = size != self._size
        self._size = size
        return changed


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
