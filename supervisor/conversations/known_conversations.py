"""The conversations that this run knows, and which of them it may forget. Free of I/O and clocks.

A conversation at rest has no process, and its session file is enough to bring it back. So only so many of these are
kept; beyond it the one that has rested longest is forgotten, and comes back like one of an earlier run. One that has
no file, because it was stopped before anything was said, gives way only to others that have none: it cannot come back.
"""

from collections import OrderedDict
from collections.abc import Iterator

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.conversation import Conversation


class ConversationTable:
    """By id, in the order in which they were entered."""

    def __init__(self, most_at_rest: int) -> None:
        self._known: dict[ConversationId, Conversation] = {}
        self._saved: OrderedDict[Conversation, None] = OrderedDict()
        self._unsaved: OrderedDict[Conversation, None] = OrderedDict()
        self._most_at_rest = most_at_rest
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Conversation]:
        return iter(self._known.values())

    @property
    def forgotten(self) -> int:
        """How many conversations were forgotten since the start."""
        return self._forgotten

    def find(self, conversation_id: ConversationId) -> Conversation | None:
        """Return a conversation that is known."""
        return self._known.get(conversation_id)

    def enter(self, conversation: Conversation) -> Conversation:
        """Know a conversation from now on, and return it."""
        self._known[conversation.id] = conversation
        return conversation

    def remove(self, conversation: Conversation) -> None:
        """Know a conversation no longer: it is over."""
        del self._known[conversation.id]
        self._get_up(conversation)

    def mark_busy(self, conversation: Conversation) -> None:
        """Note that a conversation is needed."""
        self._known[conversation.id] = conversation  # which whoever has it may not have been able to know
        self._get_up(conversation)

    def mark_idle(self, conversation: Conversation, now: float, is_saved: bool) -> None:
        """Note that a conversation has no process and needs none, and forget what there is no room for any more.

        One whose deaths still count (`Conversation.has_recovered`) is kept in any case.
        """
        line = self._saved if is_saved else self._unsaved
        if not conversation.is_needed and self._known.get(conversation.id) is conversation:
            line[conversation] = None
        for _ in range(len(line) - self._most_at_rest):
            oldest, _ = line.popitem(last=False)
            if oldest.has_recovered(now):
                del self._known[oldest.id]
                self._forgotten += 1
            else:
                line[oldest] = None

    def _get_up(self, conversation: Conversation) -> None:
        for line in (self._saved, self._unsaved):
            line.pop(conversation, None)
