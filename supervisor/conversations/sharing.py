"""The conversations of a host as another one sees them, which replaces it or is replaced by it."""

from greenroom.protocol.ids import HERE, ConversationId
from greenroom.supervisor.conversations.claims import ConversationClaims
from greenroom.supervisor.conversations.scheduler import ConversationScheduler
from greenroom.supervisor.conversations.state import lifecycle
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.remembered import Remembered


class SharedConversations:
    """Implements `greenroom.supervisor.conversations.claims.ClaimHolder`."""

    def __init__(self, scheduler: ConversationScheduler) -> None:
        self._scheduler = scheduler
        self._table, self._assignments, self._slots = scheduler.table, scheduler.assignments, scheduler.slots

    def share(self, claims: ConversationClaims) -> None:
        """Start processes from now on only for conversations to which this host has the claim."""
        self._scheduler.claims = claims

    def with_process(self) -> list[ConversationId]:
        """Return those that have a process, or are about to get one."""
        return [conversation.id for conversation in self._table if self._has_process(conversation)]

    def remembered(self, conversation_id: ConversationId) -> Remembered | None:
        """Return what is remembered of a conversation that has a session file, or will have one."""
        conversation = self._table.find(conversation_id)
        return None if conversation is None or conversation.ephemeral else Remembered.of(conversation)

    def without_process(self) -> list[Remembered]:
        """Return what is remembered of those that have no process."""
        return [Remembered.of(one) for one in self._table if not (one.ephemeral or self._has_process(one))]

    def remember(self, remembered: Remembered) -> None:
        """Let a conversation go on from where another host has left it."""
        known = self._table.find(remembered.id)
        if known is None:
            self._scheduler.let_rest(self._table.enter(remembered.conversation()))
        elif not self._has_process(known):
            remembered.add_to(known)

    def resume_waiting(self, conversation_id: ConversationId) -> bool:
        """Run what waits in a conversation; return whether it has a process now, or is about to get one."""
        conversation = self._table.find(conversation_id)
        if conversation is None:
            return False
        self._scheduler.advance(conversation)
        return self._has_process(conversation)

    def give_up(self, conversation_id: ConversationId) -> bool:
        """Park a conversation as soon as no turn runs; return whether it has a process, or is about to get one."""
        conversation = self._table.find(conversation_id)
        if conversation is None or not self._has_process(conversation):
            return False
        conversation.is_wanted_elsewhere = True
        self._park(conversation)
        return True

    def park_idle(self) -> None:
        """Park the conversations whose processes hold nothing that would be lost with them."""
        for conversation in list(self._table):
            if not (conversation.open_commands or conversation.holds_unsaved or conversation.ephemeral):
                self._park(conversation)

    def park_on_nodes(self) -> None:
        """Park those of them that have their process on a node, which another host waits for."""
        for conversation in list(self._table):
            if conversation.node != HERE and not (conversation.open_commands or conversation.holds_unsaved):
                self._park(conversation)

    def _park(self, conversation: Conversation) -> None:
        if (
            conversation.state == "idle"
            and not conversation.requests
            and not self._assignments.is_being_killed(conversation)
        ):
            self._slots.park(conversation)

    def _has_process(self, conversation: Conversation) -> bool:
        return conversation.state in lifecycle.WITH_PROCESS or self._slots.waits(conversation)
