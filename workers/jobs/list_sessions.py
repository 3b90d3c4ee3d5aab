"""Lists saved conversations page by page, newest first."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.conversation_api import ListConversations
from greenroom.protocol.errors import SessionFileError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.user_messages import is_user_message
from greenroom.sessions.records.restored import restore
from greenroom.sessions.replay import texts
from greenroom.sessions.storage.finder import SessionName, list_sessions
from greenroom.sessions.storage.lineage import open_with_origins
from greenroom.workers.job_context import Setting

PAGE: Final = 25
MOST: Final = 500
"""Maximum conversations per page, whatever the client requests."""
HEAD: Final = 256 * 1024
"""Bytes at the beginning of a file in which the first user message has to be."""
REQUEST_MARK: Final = "## My request for Codex:"
"""The heading that editors put before the user's own words, after the list of open files."""


class Preview(msgspec.Struct, frozen=True):
    """How a saved conversation began."""

    text: str
    """The user's first message."""
    timestamp: str | None
    """When the conversation began, according to its file."""


class _FirstLine(msgspec.Struct, frozen=True):
    timestamp: str | None = None


async def run(params: bytes, setting: Setting) -> bytes:
    """Return the result of `listConversations`."""
    request = msgspec.json.decode(params, type=ListConversations)
    size = min(MOST, max(1, PAGE if request.page_size is None else request.page_size))
    page = list(islice(_previews(setting.home, _position(request.cursor)), size))
    result: dict[str, object] = {"items": [item(name.conversation_id, name.path, seen) for name, seen in page]}
    if page:
        last, _ = page[-1]
        result["nextCursor"] = f"{last.started}|{last.conversation_id}"
    return msgspec.json.encode(result)


def preview(reader: Reader, path: str) -> Preview | None:
    """Read the beginning of a file; `None` if it has no user message there, or cannot be read."""
    try:
        with open_with_origins(reader, path) as file:
            head = file.read(HEAD).splitlines(keepends=True)
        message = next(filter(is_user_message, restore(head).items), None)
        first = msgspec.json.decode(head[0], type=_FirstLine)
    except (OSError, SessionFileError, msgspec.MsgspecError):
        return None
    return None if message is None else Preview("\n".join(texts(message.get("content"), "input_text")), first.timestamp)


def _previews(home: str, before: tuple[str, str] | None) -> Iterator[tuple[SessionName, Preview]]:
    """Yield the conversations with a user message."""
    reader = Reader(home)
    for name in list_sessions(home):
        if before is not None and (name.started, name.conversation_id) >= before:
            continue
        seen = preview(reader, name.path)
        if seen is not None:
            yield name, seen


def _position(cursor: str | None) -> tuple[str, str] | None:
    """Return where the previous page ended; an invalid cursor is ignored."""
    started, mark, conversation_id = (cursor or "").partition("|")
    return (started, conversation_id) if mark else None


def item(conversation_id: ConversationId, path: str, seen: Preview) -> dict[str, object]:
    """Return a conversation as clients are told of it."""
    _, mark, request = seen.text.partition(REQUEST_MARK)
    text = request.strip() if mark else seen.text
    told: dict[str, object] = {"conversationId": conversation_id, "path": path, "preview": text}
    return told if seen.timestamp is None else {**told, "timestamp": seen.timestamp}
