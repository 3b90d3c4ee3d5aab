"""Removes the worktree of a conversation that has ended, unless it holds anything."""

import asyncio
import time
from typing import Final

import msgspec

from greenroom.protocol.errors import SessionBusyError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.internal.jobs import ReleaseWorktree
from greenroom.sessions.storage.lock import WriterLock
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.worktree.worktree import Worktree

TIMEOUT_S: Final = 10.0
"""For the process of the conversation to leave."""
_PAUSE_S: Final = 0.05


async def run(params: bytes, setting: Setting) -> bytes:
    """Return `{"path", "branch", "removed", "reason"}`, or `{}` for a conversation without a worktree.

    Raises `JobError` while another process uses the conversation.
    """
    conversation_id = msgspec.json.decode(params, type=ReleaseWorktree).conversation_id
    worktree = Worktree(setting.home, setting.runtime_directory, conversation_id)
    if worktree.record is None:
        return b"{}"
    lock = await _session_lock(setting.home, conversation_id)
    try:
        released = await worktree.release()
    except OSError as error:
        raise JobError(str(error)) from error
    finally:
        lock.release()
    return b"{}" if released is None else msgspec.json.encode(released._asdict())


async def _session_lock(home: str, conversation_id: ConversationId) -> WriterLock:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return WriterLock(home, conversation_id)
        except SessionBusyError as error:
            if time.monotonic() > deadline:
                raise JobError(str(error)) from error
        except OSError as error:
            raise JobError(str(error)) from error
        await asyncio.sleep(_PAUSE_S)
