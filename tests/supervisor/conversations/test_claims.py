"""Two hosts share the conversations of a home: neither starts what the other has, and every turn runs in the end."""

from collections import deque
from collections.abc import Callable
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.claims import AskingClaims, ConversationClaims, DecidingClaims

IDS = [ConversationId(name) for name in "abc"]
Side = Literal["old", "new"]
OTHER: dict[Side, Side] = {"old": "new", "new": "old"}


class PlayedHost:
    """The conversations of one host: which of them have a process, and how many turns wait in each."""

    def __init__(self, home: "PlayedHome", side: Side) -> None:
        self.home, self.side = home, side
        self.claims: ConversationClaims
        self.waiting = dict.fromkeys(IDS, 0)
        self.has_process: set[ConversationId] = set()
        self.runs: set[ConversationId] = set()
        self.leaves: set[ConversationId] = set()
        self.ended = 0

    def submit(self, name: ConversationId) -> None:
        self.waiting[name] += 1
        self.advance(name)

    def withdraw(self, name: ConversationId) -> None:
        self.waiting[name] = 0
        self.rest(name)

    def advance(self, name: ConversationId) -> None:
        if name in self.runs or not self.waiting[name]:
            self.rest(name)
        elif name in self.has_process:
            if name not in self.leaves:
                self.runs.add(name)
                self.waiting[name] -= 1
        elif self.claims.may_start(name):
            assert name not in self.home.hosts[OTHER[self.side]].has_process, "a file has one writer"
            self.has_process.add(name)
            self.advance(name)

    def rest(self, name: ConversationId) -> None:
        if name not in self.has_process:
            self.claims.ended(name)

    def end_turn(self, name: ConversationId) -> None:
        if name in self.runs:
            self.runs.remove(name)
            self.ended += 1
            if name not in self.leaves:
                self.advance(name)

    def exit(self, name: ConversationId) -> None:
        """End the process, as when it was parked or has died."""
        if name in self.has_process and name not in self.runs:
            self.has_process.remove(name)
            self.leaves.discard(name)
            self.claims.ended(name)
            self.advance(name)

    # As a holder and as a sender

    def resume_waiting(self, name: ConversationId) -> bool:
        self.advance(name)
        return name in self.has_process

    def give_up(self, name: ConversationId) -> bool:
        if name not in self.has_process:
            return False
        self.leaves.add(name)
        return True

    def want(self, name: ConversationId) -> None:
        self.home.links[self.side].append(("want", name))

    def give(self, name: ConversationId) -> None:
        self.home.links[self.side].append(("give", name))


class PlayedHome:
    def __init__(self, held: set[ConversationId]) -> None:
        self.links: dict[Side, deque[tuple[str, ConversationId]]] = {"old": deque(), "new": deque()}
        self.hosts: dict[Side, PlayedHost] = {"old": PlayedHost(self, "old"), "new": PlayedHost(self, "new")}
        old, new = self.hosts["old"], self.hosts["new"]
        old.has_process |= held
        self.asking = AskingClaims(held, old, old)
        self.deciding = DecidingClaims(held, new, new)
        old.claims, new.claims = self.asking, self.deciding

    def deliver(self, sender: Side) -> None:
        if self.links[sender]:
            what, name = self.links[sender].popleft()
            claims = self.deciding if sender == "old" else self.asking
            (claims.wanted if what == "want" else claims.given)(name)

    def settle(self) -> None:
        """Let everything that can happen by itself happen."""
        for _ in range(200):
            for side in ("old", "new"):
                host = self.hosts[side]
                while self.links[side]:
                    self.deliver(side)
                for name in IDS:
                    host.end_turn(name)
                    if name in host.leaves:
                        host.exit(name)

    def settle_one(self, side: Side) -> None:
        """Let happen what can in the one host that is left."""
        host = self.hosts[side]
        for _ in range(200):
            for name in IDS:
                host.end_turn(name)
                if name in host.leaves:
                    host.exit(name)


steps: dict[str, Callable[[PlayedHome, Side, ConversationId], None]] = {
    "submit": lambda home, side, name: home.hosts[side].submit(name),
    "withdraw": lambda home, side, name: home.hosts[side].withdraw(name),
    "end": lambda home, side, name: home.hosts[side].end_turn(name),
    "exit": lambda home, side, name: home.hosts[side].exit(name),
    "deliver": lambda home, side, _: home.deliver(side),
}
happenings = st.lists(
    st.tuples(st.sampled_from(sorted(steps)), st.sampled_from(["old", "new"]), st.sampled_from(IDS)), max_size=60
)


@given(st.sets(st.sampled_from(IDS)), happenings)
def test_no_conversation_has_two_processes_and_every_turn_runs(
    held: set[ConversationId], happening: list[tuple[str, Side, ConversationId]]
) -> None:
    home = PlayedHome(held)
    for step, side, name in happening:
        steps[step](home, side, name)
    home.settle()
    assert [host.waiting for host in home.hosts.values()] == [dict.fromkeys(IDS, 0)] * 2


@given(st.sets(st.sampled_from(IDS)), happenings, st.sampled_from(["old", "new"]))
def test_the_host_that_is_left_has_all_of_them(
    held: set[ConversationId], happening: list[tuple[str, Side, ConversationId]], left: Side
) -> None:
    home = PlayedHome(held)
    for step, side, name in happening:
        steps[step](home, side, name)
    gone = home.hosts[OTHER[left]]
    gone.has_process.clear()
    while home.links[OTHER[left]]:
        home.deliver(OTHER[left])
    (home.deciding if left == "new" else home.asking).be_alone()
    for side in ("old", "new"):
        home.links[side].clear()
    home.settle_one(left)
    assert home.hosts[left].waiting == dict.fromkeys(IDS, 0)
