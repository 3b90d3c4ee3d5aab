"""Takes the last turns of a saved conversation back: its file says so, and keeps what was said."""

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError, SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.records.format import SessionRecord
from greenroom.sessions.records.thread_history import thread_history
from greenroom.sessions.storage.file import SessionFile
from greenroom.sessions.storage.finder import find_listed
from greenroom.sessions.storage.lineage import open_with_origins


def revert(home: str, conversation_id: ConversationId, before_turn: str) -> int:
    """Take back a turn and those that follow it; return how many there were.

    Raises `SessionUnknownError`, `SessionBusyError` where a process has the conversation open, or `SessionFileError`.
    """
    path = find_listed(home, conversation_id)
    if path is None:
        raise SessionUnknownError(f"no rollout found for thread id {conversation_id}")
    try:
        file = SessionFile.resume(home, path, conversation_id)
        try:
            with open_with_origins(Reader(home), file.path) as lines:
                turns = [turn.id for turn in thread_history(lines).turns]
            if before_turn not in turns:
                raise SessionFileError(f"turn not found: {before_turn}")
            count = len(turns) - turns.index(before_turn)
            file.append((SessionRecord("event_msg", {"type": "thread_rolled_back", "num_turns": count}),))
        finally:
            file.close()
    except OSError as error:
        raise SessionFileError(f"Session file {path} cannot be changed: {error.strerror}") from error
    return count
