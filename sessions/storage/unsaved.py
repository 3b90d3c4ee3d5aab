"""The session file of a conversation that is not to be saved: nothing is ever written."""

from collections.abc import Iterable

from greenroom.protocol.ids import ConversationId
from greenroom.sessions.records.format import SessionRecord
from greenroom.sessions.storage.file import SessionFile


class UnsavedFile(SessionFile):
    """Takes the place of a session file. Its path is empty."""

    is_saved = False

    def __init__(self, home: str, conversation_id: ConversationId) -> None:
        super().__init__(home, "", conversation_id)

    def append(self, records: Iterable[SessionRecord]) -> None:
        """Drop records."""

    def begin(self) -> None:
        """Do nothing: there is no file to create."""
