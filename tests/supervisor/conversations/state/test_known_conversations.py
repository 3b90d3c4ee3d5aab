"""Only a limited number of parked conversations is known, the latest ones; those in use are always known."""

from collections.abc import Callable

import pytest

from greenroom.protocol.approval import AnyQuestion
from greenroom.protocol.choices import EventForm
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.runtime.restart import RestartPolicy
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.known_conversations import ConversationTable
from greenroom.supervisor.conversations.state.turn import ConversationTurn, Nobody
from greenroom.supervisor.processes.restart import CONVERSATION

ROOM = 2


class Listener:
    """A listener to a conversation, for which its turns run."""

    client = Nobody()
    wants_deltas = True
    wants_steps = False

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """There are none."""

    def turn_ended(self, turn_id: TurnId) -> None:
        """None ends."""

    def progress(self, doing: str) -> None:
        """There is none."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """There are no questions."""

    def succeeded(self, last_message: bytes) -> None:
        """It does not end."""

    def failed(self, failure: Failure) -> None:
        """It does not end."""


def entered(table: ConversationTable, count: int) -> list[Conversation]:
    return [
        table.enter(Conversation(ConversationId(str(number)), b"{}", resume="must", state="parked"))
        for number in range(count)
    ]


def mark_idle(table: ConversationTable, *conversations: Conversation, now: float = 1e6) -> None:
    for conversation in conversations:
        table.mark_idle(conversation, now, is_saved=True)


def test_the_conversation_that_has_been_idle_longest_is_forgotten() -> None:
    table = ConversationTable(ROOM)
    first, second, third, busy = entered(table, 4)
    mark_idle(table, first, second)
    table.mark_busy(first)
    mark_idle(table, first, third)
    assert list(table) == [first, third, busy]
    assert table.find(second.id) is None
    assert table.forgotten == 1


def test_without_room_no_idle_conversation_is_kept() -> None:
    table = ConversationTable(0)
    conversation, busy = entered(table, 2)
    mark_idle(table, conversation)
    assert list(table) == [busy]


def test_conversations_without_a_file_make_room_only_for_each_other() -> None:
    table = ConversationTable(1)
    first, second, saved = entered(table, 3)
    table.mark_idle(first, 1e6, is_saved=False)
    mark_idle(table, saved)
    assert list(table) == [first, second, saved]
    table.mark_idle(second, 1e6, is_saved=False)
    assert list(table) == [second, saved]


def listened_to(conversation: Conversation) -> None:
    conversation.observers = (Listener(),)


def waited_for(conversation: Conversation) -> None:
    conversation.enqueue(ConversationTurn(TurnId("t"), conversation.id, b"[]", Listener()))


def found_by_us_alone(conversation: Conversation) -> None:
    conversation.path = "/elsewhere/rollout.jsonl"


def just_dead(conversation: Conversation) -> None:
    conversation.policy = RestartPolicy(CONVERSATION)
    conversation.policy.on_death(1e6)


@pytest.mark.parametrize("needed", [listened_to, waited_for, found_by_us_alone, just_dead])
def test_a_conversation_that_is_needed_is_not_forgotten(needed: Callable[[Conversation], None]) -> None:
    table = ConversationTable(0)
    (conversation,) = entered(table, 1)
    needed(conversation)
    mark_idle(table, conversation)
    assert table.find(conversation.id) is conversation


def test_whose_deaths_count_no_longer_is_forgotten_in_turn() -> None:
    table = ConversationTable(0)
    dead, other = entered(table, 2)
    just_dead(dead)
    mark_idle(table, dead)
    mark_idle(table, other, now=1e6 + CONVERSATION.period + 1)
    mark_idle(table, dead, now=1e6 + CONVERSATION.period + 1)
    assert list(table) == []


def test_what_is_over_is_not_known_again_when_it_comes_to_rest() -> None:
    table = ConversationTable(ROOM)
    (conversation,) = entered(table, 1)
    table.remove(conversation)
    mark_idle(table, conversation)
    assert list(table) == []
