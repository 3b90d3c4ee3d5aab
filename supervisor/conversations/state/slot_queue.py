"""The queues of idle conversations and of those that wait for a slot. Free of I/O and clocks."""

from collections import OrderedDict

from greenroom.supervisor.conversations.state.conversation import Conversation


class SlotQueue:
    """Decides which conversation is parked for which, where `slots` conversations may have a process."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._idle: OrderedDict[Conversation, float] = OrderedDict()
        self._waiting: dict[Conversation, None] = {}
        self._waiting_for_host: dict[Conversation, None] = {}
        """Those of them that can run on the host alone."""

    def mark_idle(self, conversation: Conversation, now: float) -> None:
        """Note that a conversation has become idle."""
        self._idle[conversation] = now
        self._idle.move_to_end(conversation)

    def mark_busy(self, conversation: Conversation) -> None:
        """Note that a conversation is no longer idle."""
        self._idle.pop(conversation, None)

    def has_place(self, taken: int) -> bool:
        """Tell whether another conversation may have a process beside the `taken` ones that have."""
        return taken < self._slots

    def wait(self, conversation: Conversation, *, only_here: bool = False) -> None:
        """Queue a conversation for a slot; `only_here`: it can run on the host alone."""
        self._waiting.setdefault(conversation)
        if only_here:
            self._waiting_for_host.setdefault(conversation)

    def waits(self, conversation: Conversation) -> bool:
        """Tell whether a conversation waits for a slot."""
        return conversation in self._waiting

    def next_waiting(self, *, only_here: bool = False) -> Conversation | None:
        """Remove the conversation that has waited longest from the queue, and return it.

        `only_here`: the one of those that can run on the host alone.
        """
        found = next(iter(self._waiting_for_host if only_here else self._waiting), None)
        if found is not None:
            del self._waiting[found]
            self._waiting_for_host.pop(found, None)
        return found

    @property
    def waiting(self) -> int:
        """Number of conversations that wait for a slot."""
        return len(self._waiting)

    def longest_idle(self) -> Conversation | None:
        """Return the conversation to park if a slot is needed: the longest idle that is saved, else of all."""
        saved = (conversation for conversation in self._idle if not conversation.holds_unsaved)
        return next(saved, next(iter(self._idle), None))

    def idle_since(self, before: float) -> list[Conversation]:
        """Return the conversations that have been idle since `before` or longer, longest first."""
        found: list[Conversation] = []
        for conversation, since in self._idle.items():
            if since > before:
                break
            found.append(conversation)
        return found

    def next_deadline(self, timeout_s: float) -> float | None:
        """Return when the next conversation will have been idle for `timeout_s` seconds."""
        return next((since + timeout_s for since in self._idle.values()), None)
