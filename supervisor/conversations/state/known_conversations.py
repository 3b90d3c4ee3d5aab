"""The conversations that are kept in memory, and which of them are dropped first. Free of I/O and clocks.

A conversation at rest has no process, and its session file is enough to resume it. Therefore a limited number of these
is kept; beyond it the one that has rested longest is dropped, and resumed later like one of an earlier run. A
conversation without a file, because it was stopped before its first input, is dropped only in favour of others without
a file, because it cannot be resumed.
"""

from collections import OrderedDict
from collections.abc import Iterator

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.state.conversation import Conversation


class ConversationTable:
    """Conversations by id, in the order in which they were entered."""

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
        """Number of conversations that were dropped since the start."""
        return self._forgotten

    def find(self, conversation_id: ConversationId) -> Conversation | None:
        """Return a conversation that is kept."""
        return self._known.get(conversation_id)

    def enter(self, conversation: Conversation) -> Conversation:
        """Add a conversation, and return it."""
        self._known[conversation.id] = conversation
        return conversation

    def remove(self, conversation: Conversation) -> None:
        """Remove a conversation that is over."""
        del self._known[conversation.id]
        self._get_up(conversation)

    def mark_busy(self, conversation: Conversation) -> None:
        """Note that a conversation is in use."""
        self._known[conversation.id] = conversation  # a caller may hold one that was dropped meanwhile
        self._get_up(conversation)

    def mark_idle(self, conversation: Conversation, now: float, is_saved: bool) -> None:
        """Note that a conversation has no process and needs none, and drop those that exceed the limit.

        One whose deaths still count (`Conversation.has_recovered`) is never dropped.
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
