"""The queue never exceeds the number of slots, and parks the conversation that has been idle longest."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.slot_queue import SlotQueue


def _conversations(count: int) -> list[Conversation]:
    return [Conversation(ConversationId(str(number)), b"{}", resume="no") for number in range(count)]


def test_the_longest_idle_comes_first() -> None:
    first, second = _conversations(2)
    queue = SlotQueue(slots=2)
    queue.mark_idle(first, now=1.0)
    queue.mark_idle(second, now=2.0)
    assert queue.longest_idle() is first
    queue.mark_idle(first, now=3.0)
    assert queue.longest_idle() is second
    assert queue.idle_since(2.0) == [second]
    assert queue.next_deadline(10.0) == 12.0


def test_a_busy_conversation_is_not_parked() -> None:
    (conversation,) = _conversations(1)
    queue = SlotQueue(slots=1)
    queue.mark_idle(conversation, now=1.0)
    queue.mark_busy(conversation)
    assert queue.longest_idle() is None
    assert queue.next_deadline(10.0) is None


def test_who_waits_for_a_place_is_served_in_order_and_once() -> None:
    first, second = _conversations(2)
    queue = SlotQueue(slots=1)
    for conversation in (first, second, first):
        queue.wait(conversation)
    assert queue.waiting == 2
    assert [queue.next_waiting(), queue.next_waiting(), queue.next_waiting()] == [first, second, None]


def test_who_can_run_on_the_host_alone_can_be_served_before_the_others() -> None:
    first, second, third = _conversations(3)
    queue = SlotQueue(slots=1)
    queue.wait(first)
    queue.wait(second, only_here=True)
    queue.wait(third, only_here=True)
    queue.wait(second, only_here=True)
    assert queue.next_waiting(only_here=True) is second
    assert not queue.waits(second)
    assert [queue.next_waiting(), queue.next_waiting(only_here=True), queue.waiting] == [first, third, 0]
    assert queue.next_waiting(only_here=True) is None


@given(st.integers(1, 20), st.integers(0, 40))
def test_as_many_are_let_in_as_there_are_places(places: int, waiting: int) -> None:
    queue = SlotQueue(places)
    newcomers = _conversations(waiting)
    for conversation in newcomers:
        queue.wait(conversation)
    let_in: list[Conversation | None] = []
    while queue.waiting and queue.has_place(len(let_in)):
        let_in.append(queue.next_waiting())
    assert let_in == newcomers[:places]
