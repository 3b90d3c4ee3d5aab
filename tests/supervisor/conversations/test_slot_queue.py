"""The queue never exceeds the number of slots, and parks the conversation that has been idle longest."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.conversation import Conversation
from greenroom.supervisor.conversations.slot_queue import SlotQueue


def _conversations(count: int) -> list[Conversation]:
    return [Conversation(ConversationId(str(number)), b"{}", resume="no") for number in range(count)]


def test_the_longest_idle_comes_first() -> None:
    first, second = _conversations(2)
    roster = SlotQueue(places=2)
    roster.mark_idle(first, now=1.0)
    roster.mark_idle(second, now=2.0)
    assert roster.longest_idle() is first
    roster.mark_idle(first, now=3.0)
    assert roster.longest_idle() is second
    assert roster.idle_since(2.0) == [second]
    assert roster.next_deadline(10.0) == 12.0


def test_whoever_is_busy_is_not_parked() -> None:
    (conversation,) = _conversations(1)
    roster = SlotQueue(places=1)
    roster.mark_idle(conversation, now=1.0)
    roster.mark_busy(conversation)
    assert roster.longest_idle() is None
    assert roster.next_deadline(10.0) is None


def test_who_waits_for_a_place_is_served_in_order_and_once() -> None:
    first, second = _conversations(2)
    roster = SlotQueue(places=1)
    for conversation in (first, second, first):
        roster.wait(conversation)
    assert roster.waiting == 2
    assert [roster.next_waiting(), roster.next_waiting(), roster.next_waiting()] == [first, second, None]


def test_who_can_run_on_the_host_alone_can_be_served_before_the_others() -> None:
    first, second, third = _conversations(3)
    roster = SlotQueue(places=1)
    roster.wait(first)
    roster.wait(second, only_here=True)
    roster.wait(third, only_here=True)
    roster.wait(second, only_here=True)
    assert roster.next_waiting(only_here=True) is second
    assert not roster.waits(second)
    assert [roster.next_waiting(), roster.next_waiting(only_here=True), roster.waiting] == [first, third, 0]
    assert roster.next_waiting(only_here=True) is None


@given(st.integers(1, 20), st.integers(0, 40))
def test_as_many_are_let_in_as_there_are_places(places: int, waiting: int) -> None:
    roster = SlotQueue(places)
    newcomers = _conversations(waiting)
    for conversation in newcomers:
        roster.wait(conversation)
    let_in: list[Conversation | None] = []
    while roster.waiting and roster.has_place(len(let_in)):
        let_in.append(roster.next_waiting())
    assert let_in == newcomers[:places]
