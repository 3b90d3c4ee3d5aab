"""Which of two hosts of a home may have a process for a conversation, while one of them replaces the other.

A session file has one writer. So a conversation belongs to one host at a time, and its turns in the other wait, as they
would behind its turns in a single host. The new host decides (`DecidingClaims`), the old one asks (`AskingClaims`).
Free of I/O; messages arrive in the order in which they were sent.

* The old host begins with the conversations that have a process there; all others belong to the new one.
* A host that wants a conversation of the other says so. The other gives it up once the turn that runs has ended, at
  once where none does.
* The old host returns a conversation without being asked as soon as it has no process any more.
* Where the connection between them ends, the host that is left has all of them.
"""

from collections.abc import Iterable
from typing import Protocol

from greenroom.protocol.ids import ConversationId


class ConversationClaims(Protocol):
    """The claims of this host."""

    def may_start(self, conversation_id: ConversationId) -> bool:
        """Tell whether a process may be started; where not, the conversation is resumed when it may (`ClaimHolder`)."""

    def ended(self, conversation_id: ConversationId) -> None:
        """Note that a conversation has no process, and none is about to be started for it."""


class ClaimHolder(Protocol):
    """The conversations of this host (`greenroom.supervisor.conversations.registry.Conversations`)."""

    def resume_waiting(self, conversation_id: ConversationId) -> bool:
        """Run what waits in a conversation; return whether it has a process now, or is about to get one."""

    def give_up(self, conversation_id: ConversationId) -> bool:
        """End the process of a conversation after the turn that runs; return whether it has one, or is about to."""


class ClaimSender(Protocol):
    """The way to the other host."""

    def want(self, conversation_id: ConversationId) -> None:
        """Ask for a conversation."""

    def give(self, conversation_id: ConversationId) -> None:
        """Give a conversation to the other host."""


class Unshared:
    """The claims of a host that is alone."""

    def may_start(self, conversation_id: ConversationId) -> bool:  # noqa: ARG002 - all are alike
        """Tell that every conversation belongs to this host."""
        return True

    def ended(self, conversation_id: ConversationId) -> None:
        """Ignore the end of a process."""


class DecidingClaims:
    """The claims of the new host."""

    def __init__(self, elsewhere: Iterable[ConversationId], sender: ClaimSender, holder: ClaimHolder) -> None:
        """`elsewhere` are the conversations that the old host has."""
        self._elsewhere = set(elsewhere)
        self._sender, self._holder = sender, holder
        self._asked: set[ConversationId] = set()
        self._promised: set[ConversationId] = set()

    def may_start(self, conversation_id: ConversationId) -> bool:
        """Ask the old host for a conversation that it has."""
        if conversation_id not in self._elsewhere:
            return True
        if conversation_id not in self._asked:
            self._asked.add(conversation_id)
            self._sender.want(conversation_id)
        return False

    def ended(self, conversation_id: ConversationId) -> None:
        """Give a conversation to the old host, if that waits for it."""
        if conversation_id in self._promised:
            self._promised.remove(conversation_id)
            self._give(conversation_id)

    def wanted(self, conversation_id: ConversationId) -> None:
        """Handle that the old host wants a conversation."""
        if self._holder.give_up(conversation_id):
            self._promised.add(conversation_id)
        else:
            self._give(conversation_id)

    def given(self, conversation_id: ConversationId) -> None:
        """Handle that the old host has given up a conversation."""
        self._elsewhere.discard(conversation_id)
        self._asked.discard(conversation_id)
        self._holder.resume_waiting(conversation_id)

    def be_alone(self) -> None:
        """Handle the end of the old host."""
        left, self._elsewhere = self._elsewhere, set()
        self._asked.clear()
        self._promised.clear()
        for conversation_id in left:
            self._holder.resume_waiting(conversation_id)

    def _give(self, conversation_id: ConversationId) -> None:
        self._elsewhere.add(conversation_id)
        self._sender.give(conversation_id)


class AskingClaims:
    """The claims of the old host."""

    def __init__(self, here: Iterable[ConversationId], sender: ClaimSender, holder: ClaimHolder) -> None:
        """`here` are the conversations that have a process in this host, or are about to get one."""
        self._here = set(here)
        self._sender, self._holder = sender, holder
        self._asked: set[ConversationId] = set()
        self._is_alone = False

    def may_start(self, conversation_id: ConversationId) -> bool:
        """Ask the new host for a conversation that this one does not have."""
        if self._is_alone or conversation_id in self._here:
            return True
        if conversation_id not in self._asked:
            self._asked.add(conversation_id)
            self._sender.want(conversation_id)
        return False

    def ended(self, conversation_id: ConversationId) -> None:
        """Return a conversation to the new host."""
        if conversation_id in self._here:
            self._here.remove(conversation_id)
            self._sender.give(conversation_id)

    def wanted(self, conversation_id: ConversationId) -> None:
        """Handle that the new host wants a conversation; one that is not here has been returned meanwhile."""
        if conversation_id in self._here and not self._holder.give_up(conversation_id):
            self.ended(conversation_id)

    def given(self, conversation_id: ConversationId) -> None:
        """Handle that the new host has given a conversation to this one."""
        self._asked.discard(conversation_id)
        self._here.add(conversation_id)
        if not self._holder.resume_waiting(conversation_id):
            self.ended(conversation_id)

    def be_alone(self) -> None:
        """Handle the end of the new host."""
        self._is_alone = True
        asked, self._asked = self._asked, set()
        for conversation_id in asked:
            self._holder.resume_waiting(conversation_id)
