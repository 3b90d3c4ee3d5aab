"""Moves a session file to where it is no longer listed."""

import os

import msgspec

from greenroom.protocol.conversation_api import ArchiveConversation
from greenroom.protocol.errors import SessionBusyError
from greenroom.sessions.shelf import move
from greenroom.sessions.storage.finder import ARCHIVE, FOLDER
from greenroom.sessions.storage.lock import WriterLock
from greenroom.sessions.storage.packed import forms
from greenroom.workers.job_context import JobError, Setting


async def run(params: bytes, setting: Setting) -> bytes:
    """Move the file. Raises `JobError` if it is not in the home, or cannot be moved."""
    request = msgspec.json.decode(params, type=ArchiveConversation)
    path = os.path.realpath(request.rollout_path)
    sessions = os.path.realpath(os.path.join(setting.home, FOLDER))
    if os.path.commonpath((sessions, path)) != sessions:
        raise JobError(f"{request.rollout_path} leads out of the sessions directory")
    try:
        lock = WriterLock(setting.home, request.id)
    except (SessionBusyError, OSError) as error:
        raise JobError(str(error)) from error
    try:
        for form in forms(path) or [path]:  # a compressed copy left behind would be listed again
            move(form, os.path.join(setting.home, ARCHIVE))
    except OSError as error:
        raise JobError(f"{path}: {error.strerror}") from error
    finally:
        lock.release()
    return b"{}"
