"""Says how one saved conversation began, in the form in which a list has it."""

import os
from contextlib import suppress
from typing import Final
from uuid import UUID

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.conversation_api import ConversationSummary
from greenroom.protocol.errors import SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.storage.finder import path_of
from greenroom.sessions.storage.packed import plain_path
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.jobs.list_sessions import item, preview

ID_LENGTH: Final = 36
"""Characters of an id at the end of a file's name."""


async def run(params: bytes, setting: Setting) -> bytes:
    """Return the result of `getConversationSummary`.

    Raises `SessionUnknownError`, or `JobError` for a conversation in which the user has not said anything yet.
    """
    wanted = msgspec.json.decode(params, type=ConversationSummary)
    conversation_id = _id(wanted)
    path = path_of(setting.home, conversation_id)
    if wanted.rollout_path is not None and os.path.realpath(plain_path(path)) != _real(wanted.rollout_path):
        raise SessionUnknownError(f"{wanted.rollout_path} is no session file of this home")
    seen = preview(Reader(setting.home), path)
    if seen is None:
        raise JobError(f"{path} has no message of the user")
    return msgspec.json.encode({"summary": item(conversation_id, path, seen)})


def _id(wanted: ConversationSummary) -> ConversationId:
    if wanted.conversation_id is not None:
        return ConversationId(str(wanted.conversation_id))
    name = os.path.basename(plain_path(wanted.rollout_path or "")).removesuffix(".jsonl")
    with suppress(ValueError):
        return ConversationId(str(UUID(name[-ID_LENGTH:])))
    raise SessionUnknownError("neither `conversationId` nor the `rolloutPath` of a session file is given")


def _real(path: str) -> str:
    return os.path.realpath(plain_path(os.path.abspath(path)))
