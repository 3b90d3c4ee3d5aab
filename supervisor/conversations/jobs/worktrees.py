"""Lets the worktree of a conversation go when the conversation is closed."""

import asyncio
import logging
import os
from typing import Final

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.jobs.jobs import JobFailedError, Jobs

log = logging.getLogger(__name__)

FOLDER: Final = "worktrees"
"""In the Codex home (`greenroom.workers.worktree.record`)."""


class ReleasedWorktree(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a worktree."""

    path: str
    branch: str
    removed: bool = False
    reason: str = ""
    """Why it is kept."""


class WorktreeRelease:
    """For all conversations of a home."""

    def __init__(self, home: str, jobs: Jobs) -> None:
        self._folder = os.path.join(home, FOLDER)
        self._jobs = jobs

    async def release(self, conversation_id: ConversationId) -> ReleasedWorktree | None:
        """Remove the worktree of a conversation whose process has left or is leaving, unless it holds anything.

        `None` if it has none, or if another process uses the conversation.
        """
        if not await asyncio.to_thread(os.path.isdir, self._folder):
            return None
        from greenroom.protocol.internal.jobs import ReleaseWorktree  # few homes have worktrees

        try:
            result = await self._jobs.run(ReleaseWorktree(conversation_id))
        except JobFailedError as error:
            about = {"conversation_id": conversation_id}
            log.warning("conversation %s: its worktree is kept: %s", conversation_id, error, extra=about)
            return None
        return None if result == b"{}" else msgspec.json.decode(result, type=ReleasedWorktree)
