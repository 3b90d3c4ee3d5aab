"""What a host remembers of a conversation beside its session file, in the form in which another host takes it over."""

from typing import Literal

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.state.conversation import Conversation, Placement


class Remembered(msgspec.Struct, frozen=True, omit_defaults=True):
    """One conversation. Members have the meanings that they have in `Conversation`."""

    id: ConversationId
    resume: Literal["no", "if-saved", "must"]
    overrides: bytes = b"{}"
    path: str | None = None
    keep: bool = False
    title: str | None = None
    tokens: int | None = None
    placement: Placement | None = None

    @classmethod
    def of(cls, conversation: Conversation) -> "Remembered":
        """Return what is remembered of a conversation."""
        return cls(
            conversation.id,
            conversation.resume,
            conversation.overrides,
            conversation.path,
            conversation.keep,
            conversation.title,
            conversation.tokens,
            conversation.placement,
        )

    def conversation(self) -> Conversation:
        """Return the conversation, without a process."""
        conversation = Conversation(self.id, self.overrides, resume=self.resume)
        self.add_to(conversation)
        return conversation

    def add_to(self, conversation: Conversation) -> None:
        """Let a conversation without a process go on from here."""
        conversation.overrides, conversation.resume = self.overrides, self.resume
        conversation.path, conversation.keep = self.path, self.keep
        conversation.title, conversation.tokens = self.title, self.tokens
        conversation.placement = self.placement
