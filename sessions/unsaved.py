"""The session file of a conversation that is not to be saved: nothing is ever written."""

from collections.abc import Iterable

from greenroom.protocol.ids import ConversationId
from greenroom.sessions.file import SessionFile, session_path
from greenroom.sessions.format import SessionRecord


class UnsavedFile(SessionFile):
    """Takes the place of a session file. Its path names no file."""

    def __init__(self, home: str, conversation_id: ConversationId, started: float) -> None:
        """`started` is in seconds since the epoch."""
        super().__init__(home, session_path(home, conversation_id, started), conversation_id)

    def append(self, records: Iterable[SessionRecord]) -> None:
        """Drop records."""
