"""A host, its nodes, their conversations and clients, event by event.

The host is three stations: the loop of its supervisor, its auth broker, and the threads that flush session records.
Pieces of text are no events: a conversation that streams takes its share of the supervisor, and so does each node.
"""

import math
from collections import OrderedDict, deque
from random import Random
from typing import Final

import simpy

from benchmarks.simulation.calls import Call, Conversation, Node, Start, Tally
from benchmarks.simulation.costs import Costs
from benchmarks.simulation.scenario import Scenario
from benchmarks.simulation.stations import Process, Station

RECORD_THREADS: Final = 4
SPAWN: Final = 0.012
"""Seconds in which a node forks a worker and that greets its host."""
IDLE_WORKERS: Final = 4
"""That are started on each node which joins."""


class World:
    """One run."""

    def __init__(self, scenario: Scenario, costs: Costs) -> None:
        self.scenario, self.costs = scenario, costs
        self.environment = simpy.Environment()
        self.random = Random(scenario.seed)
        self.nodes = [Node(number) for number in range(scenario.nodes)]
        self.tally = Tally()
        self.open: dict[Call, None] = {}
        self.streams = 0
        """Turns that run, each of which streams for a part of its time."""
        self.idle: OrderedDict[Conversation, float] = OrderedDict()
        """Conversations with a process and nothing to do, the longest idle first, each with its deadline."""
        self.waiting: deque[tuple[Call, simpy.Event]] = deque()
        """Calls that wait for room on a node."""
        self.is_up = True
        self.joined = scenario.nodes
        self.peak_live = 0
        self.background_work = 0.0
        self._open_stations()

    def run(self) -> Tally:
        """Simulate, and return the tally."""
        scenario, environment = self.scenario, self.environment
        environment.process(self._clients())
        environment.process(self._parking())
        if scenario.failing:
            environment.process(self._failures())
        if scenario.host_restart_at is not None:
            environment.process(self._host_restarts(scenario.host_restart_at))
        environment.run(scenario.warm_up)
        self.tally = Tally(submitted=len(self.open))
        for station in (self.supervisor, self.broker, self.records):
            station.forget()
        environment.process(self._sample())
        environment.run(scenario.warm_up + scenario.length)
        return self.tally

    @property
    def live(self) -> int:
        """Conversations with a process."""
        return sum(node.workers for node in self.nodes)

    @property
    def utilisation(self) -> float:
        """Share of the supervisor's time that was spent since the warm-up, with streams and nodes."""
        return (self.supervisor.work + self.background_work) / self.scenario.length

    def _open_stations(self) -> None:
        """Begin with the queues of a host that has just started."""
        self.supervisor = Station(self.environment, self.random, 1, self._background)
        self.broker = Station(self.environment, self.random, 1)
        self.records = Station(self.environment, self.random, RECORD_THREADS)

    def _background(self) -> float:
        scenario, costs = self.scenario, self.costs
        streaming = self.streams * scenario.streaming * costs.stream * scenario.stream_share
        return streaming + self.joined * costs.node

    def _sample(self) -> Process:
        while True:
            self.background_work += self._background()
            self.peak_live = max(self.peak_live, self.live)
            yield self.environment.timeout(1.0)

    # Clients

    def _clients(self) -> Process:
        """Submit turns that follow no other, so often that with the replies to them as many run as are wanted.

        At the begin, when there is little yet to reply to, there are more of them.
        """
        scenario = self.scenario
        rate = scenario.running / scenario.turn
        while True:
            replying = scenario.replies * (1 - math.exp(-self.environment.now / (scenario.turn + scenario.think)))
            yield self.environment.timeout(self.random.expovariate(rate * (1 - replying)))
            start: Start = "resume" if self.random.random() < scenario.resumed else "new"
            self._submit(Conversation(), start)

    def _submit(self, conversation: Conversation, start: Start) -> None:
        call = Call(conversation, start, self.environment.now, self.environment.event())
        self.tally.submitted += 1
        self.open[call] = None
        self.environment.process(self._turn(call))

    def _reply_later(self, conversation: Conversation, after: float) -> Process:
        yield self.environment.timeout(after)
        self._submit(conversation, "reply" if conversation.node is not None else "resume")

    # A turn

    def _turn(self, call: Call) -> Process:
        scenario, costs = self.scenario, self.costs
        if not self.is_up:
            self._lose(call)
            return
        if call.conversation.node is not None:
            self.idle.pop(call.conversation)
            call.conversation.node.idle -= 1
        else:
            call.start = "new" if call.start == "new" else "resume"
            yield from self._find_room(call)
        node = call.conversation.node
        if call.has_ended() or node is None:
            return
        node.running[call] = None
        yield from self.supervisor.serve(self._cost(call.start))
        if call.has_ended():
            return
        if call.start != "reply":
            yield from self.broker.serve(costs.new_bearers)
            yield self.environment.timeout(SPAWN)
        if call.has_ended():
            return
        self.tally.delays.append(self.environment.now - call.at)
        self.streams += 1
        ends = self.environment.timeout(self.random.expovariate(1 / scenario.turn))
        yield ends | call.lost
        self.streams -= 1
        if call.has_ended():
            return
        yield from self.broker.serve(costs.bearer * (scenario.requests - 1))
        yield from self.records.serve(costs.commit)
        if not call.has_ended():
            self._answer(call, node)

    def _cost(self, start: Start) -> float:
        costs, scenario = self.costs, self.scenario
        if start == "resume":
            is_searched = self.random.random() < scenario.searched
            return costs.resume + is_searched * costs.search * scenario.parked / scenario.days
        return costs.new if start == "new" else costs.reply

    def _find_room(self, call: Call) -> Process:
        while not call.has_ended() and (node := self._place()) is None:
            room = self.environment.event()
            self.waiting.append((call, room))
            if self.idle:
                self._park(next(iter(self.idle)))
            yield room | call.lost
        if not call.has_ended():
            call.conversation.node = node

    def _place(self) -> Node | None:
        fit = [node for node in self.nodes if node.state == "ready" and node.workers < self.scenario.capacity]
        return min(fit, key=lambda node: node.workers) if fit else None

    def _answer(self, call: Call, node: Node) -> None:
        self._close(call)
        self.tally.answered += 1
        conversation = call.conversation
        if node.state == "draining":
            conversation.node = None
        else:
            node.idle += 1
            self.idle[conversation] = self.environment.now + self.scenario.park_after
        self._let_in()
        if self.random.random() < self.scenario.replies:
            think = self.random.expovariate(1 / self.scenario.think)
            self.environment.process(self._reply_later(conversation, think))

    def _close(self, call: Call) -> None:
        call.is_open = False
        del self.open[call]
        if call.conversation.node is not None:
            call.conversation.node.running.pop(call, None)

    def _lose(self, call: Call) -> None:
        """Answer a call whose node or host is gone; its client repeats it."""
        self._close(call)
        call.conversation.node = None
        self.tally.lost += 1
        if not call.lost.triggered:
            call.lost.succeed()
        after = self.random.expovariate(1 / self.scenario.retry)
        self.environment.process(self._reply_later(call.conversation, after))

    # Room

    def _parking(self) -> Process:
        while True:
            yield self.environment.timeout(1.0)
            while self.idle and next(iter(self.idle.values())) <= self.environment.now:
                self._park(next(iter(self.idle)))

    def _park(self, conversation: Conversation) -> None:
        del self.idle[conversation]
        if conversation.node is not None:
            conversation.node.idle -= 1
        conversation.node = None
        self.tally.parked += 1
        self._let_in()

    def _let_in(self) -> None:
        while self.waiting:
            call, room = self.waiting.popleft()
            if call.is_open:
                room.succeed()
                return

    # Failures

    def _failures(self) -> Process:
        while True:
            yield self.environment.timeout(self.random.expovariate(1 / self.scenario.failing))
            standing = [node for node in self.nodes if node.state == "ready"]
            if standing:
                self.environment.process(self._fail(self.random.choice(standing)))

    def _fail(self, node: Node) -> Process:
        scenario = self.scenario
        self.tally.failures += 1
        if scenario.notice:
            node.state = "draining"
            self._release_idle(node)
            yield self.environment.timeout(min(scenario.drain, scenario.notice))
        else:
            yield self.environment.timeout(scenario.lease)
        self._take_away(node)
        yield self.environment.timeout(scenario.replaced_after)
        yield from self._join(node)

    def _take_away(self, node: Node) -> None:
        self.joined -= node.state != "lost"
        node.state = "lost"
        self._release_idle(node)
        for call in list(node.running):
            self._lose(call)

    def _release_idle(self, node: Node) -> None:
        for conversation in [one for one in self.idle if one.node is node]:
            self._park(conversation)

    def _join(self, node: Node) -> Process:
        yield from self.supervisor.serve(self.costs.join)
        self.joined += node.state == "lost"
        node.state = "ready"
        for _ in range(IDLE_WORKERS):
            yield from self.supervisor.serve(self.costs.new - self.costs.reply)
        for _ in range(self.scenario.capacity):
            self._let_in()

    def _host_restarts(self, at: float) -> Process:
        yield self.environment.timeout(at)
        before = sum(len(node.running) for node in self.nodes)
        self.is_up = False
        for call in list(self.open):
            self._lose(call)
        for node in self.nodes:
            self._take_away(node)
        yield self.environment.timeout(self.scenario.host_down)
        self._open_stations()
        self.is_up = True
        began = self.environment.now
        for node in self.nodes:
            self.environment.process(self._join(node))
        while self.streams < 0.95 * before:
            yield self.environment.timeout(0.1)
        self.tally.recoveries.append(self.environment.now - began)
