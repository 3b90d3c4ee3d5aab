"""Conversations wait for room on nodes only where they could run there, and those of the host take none of it."""

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.defaults import Limits
from greenroom.protocol.ids import ConversationId, NodeName, TurnId, WorkerId
from greenroom.supervisor.conversations.assignments import WorkerAssignments, Workers
from greenroom.supervisor.conversations.slots import Slots
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from greenroom.supervisor.processes.nodes.wish import ON_HOST, Wish
from greenroom.supervisor.processes.pool import WorkerRequest
from tests.support.loop import on_loop
from tests.support.workplace import Listener

LIVE = 6


class Site:
    """Slots over a host and nodes whose room a test sets. Orders are kept, and never fulfilled."""

    def __init__(self, host_capacity: int, capacity: int) -> None:
        self.host_capacity, self.capacity = host_capacity, capacity
        self.placed: list[Wish] = []
        self.has_nodes = True
        self.noted = 0
        self.slots = Slots(
            cast("WorkerAssignments", self),
            cast("Workers", self),
            Limits(live_workers=LIVE),
            lambda _: None,
            lambda _: None,
        )
        self._count = 0

    def room(self, only_here: int) -> int | None:
        return max(self.host_capacity, only_here) + self.capacity

    def refusal(self, wish: Wish) -> str | None:
        return None

    def take(self, order: WorkerRequest, wish: Wish = ON_HOST) -> None:
        self.placed.append(wish)

    def withdraw(self, order: WorkerRequest) -> None: ...

    def note_waiting(self) -> None:
        self.noted += 1

    def part(self, conversation: Conversation) -> None: ...

    def node_of(self, worker_id: WorkerId) -> NodeName | None:
        return None

    def arrive(self, *, only_here: bool) -> Conversation:
        """Let a conversation ask for a slot; one with a worktree can run on the host alone."""
        self._count += 1
        name = ConversationId(str(self._count))
        conversation = Conversation(name, b'{"worktree":true}' if only_here else b"{}", resume="no")
        conversation.enqueue(ConversationTurn(TurnId(str(self._count)), name, b"[]", Listener()))
        self.slots.acquire(conversation)
        return conversation


@on_loop
async def test_a_conversation_of_the_host_does_not_wait_for_a_node() -> None:
    site = Site(host_capacity=0, capacity=0)
    waiting = site.arrive(only_here=False)
    site.arrive(only_here=True)
    assert [wish.only_here for wish in site.placed] == [True]
    assert site.slots.waits(waiting)
    assert site.slots.waited_for == 1
    assert site.noted
    site.capacity = 1
    site.slots.fill()
    assert [wish.only_here for wish in site.placed] == [True, False], "and takes no room of the node"
    site.slots.close()


@on_loop
async def test_conversations_of_the_host_wait_for_live_workers_in_order() -> None:
    site = Site(host_capacity=0, capacity=0)
    made = [site.arrive(only_here=True) for _ in range(LIVE + 1)]
    assert len(site.placed) == LIVE
    assert site.slots.waits(made[-1])
    site.slots.release_slot(made[0])
    site.slots.fill()
    assert not site.slots.waits(made[-1])
    site.slots.close()


@on_loop
async def test_what_a_conversation_of_the_host_has_left_is_no_room_of_a_node() -> None:
    site = Site(host_capacity=0, capacity=1)
    leaves = site.arrive(only_here=True)
    site.arrive(only_here=False)
    site.slots.release_slot(leaves)
    assert site.slots.waits(site.arrive(only_here=False)), "the node has room for one"
    site.slots.close()


@given(st.lists(st.booleans(), max_size=2 * LIVE), st.integers(0, 3), st.integers(0, 3))
def test_each_kind_gets_what_is_there_for_it(kinds: list[bool], host_capacity: int, capacity: int) -> None:
    @on_loop
    async def play() -> None:
        site = Site(host_capacity, capacity)
        made = [(site.arrive(only_here=one), one) for one in kinds]
        here, anywhere = (sum(wish.only_here is kind for wish in site.placed) for kind in (True, False))
        assert here + anywhere <= LIVE
        assert anywhere <= host_capacity + capacity
        waits = {kind: any(site.slots.waits(one) for one, of in made if of is kind) for kind in (True, False)}
        assert not waits[True] or here + anywhere == LIVE
        assert not waits[False] or here + anywhere == LIVE or anywhere + here >= max(host_capacity, here) + capacity
        for one, _ in made:
            if not site.slots.waits(one):
                site.slots.release_slot(one)
        assert site.slots.taken == 0
        site.slots.close()

    play()
