"""Reads a session file that a client wants to take up: whose it is, and what was said."""

import msgspec

from protocol.api import ResumeConversation
from workers.errands.setting import Setting
from workers.session.file import read
from workers.session.replay import initial_messages


async def run(params: bytes, setting: Setting) -> bytes:
    """Return a `protocol.api.StoredSession`. Raises `SessionFileError`."""
    del setting
    path = msgspec.json.decode(params, type=ResumeConversation).path
    restored = read(path)
    return msgspec.json.encode(
        {"conversation_id": restored.conversation_id, "initial_messages": initial_messages(path)}
    )
