"""Reads a session file that a client wants to resume: its id and its messages."""

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.conversation_api import ReadSession
from greenroom.sessions.replay import initial_messages
from greenroom.sessions.storage.file import read
from greenroom.workers.job_context import Setting


async def run(params: bytes, setting: Setting) -> bytes:
    """Return a `greenroom.protocol.conversation_api.StoredSession`. Raises `SessionFileError`."""
    reader = Reader(setting.home, setting.runtime_directory)
    path = msgspec.json.decode(params, type=ReadSession).path
    restored = read(reader, path)
    return msgspec.json.encode(
        {"conversation_id": restored.conversation_id, "initial_messages": initial_messages(reader, path)}
    )
