"""The values of all metrics of an instance, read from its present tables. Reading them changes nothing."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeAlias, TypeVar, get_args

from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.broker.body import AuthState
from greenroom.protocol.telemetry.metric import Family, Sample
from greenroom.protocol.telemetry.metrics import METRICS
from greenroom.protocol.version import __version__
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.registry import ConversationsStatistics
from greenroom.supervisor.conversations.state import lifecycle
from greenroom.supervisor.conversations.state.turn import CallKind
from greenroom.supervisor.conversations.state.turn_counters import TurnCounters
from greenroom.supervisor.frontend.stdio import StdioStatistics
from greenroom.supervisor.processes.exits import role_of
from greenroom.supervisor.processes.memory_report import ProcessFootprints
from greenroom.supervisor.processes.nodes.membership import MEANINGS as NODE_STATES
from greenroom.supervisor.processes.tree import TreeStatistics

FOOTPRINT_AGE: Final = 30.0
"""Seconds that the footprints on a page may be old that is read again and again."""
SUPERVISOR: Final = "supervisor"
CONVERSATION: Final = "worker"
"""The role under which the restarts of conversations are counted."""
NO_FOOTPRINTS: Final[ProcessFootprints] = MappingProxyType({})


class ClientsStatistics(NamedTuple):
    """What holds for all clients together."""

    connected: int
    open_calls: int
    read: int
    """Bytes from all clients, also those that have left."""
    written: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the values are read from."""

    host: ConversationHost
    clients: ClientsStatistics
    footprints: ProcessFootprints
    """As the processes have reported them."""

    @property
    def counters(self) -> TurnCounters:
        """What is counted of turns."""
        return self.host.conversations.counters


class ObservedClient(Protocol):
    """A client that is connected (`greenroom.supervisor.frontend.connection.Connection`)."""

    def statistics(self) -> StdioStatistics:
        """Return the counters of its transport."""
        ...


class MetricsReader:
    """Reads the metrics of one instance."""

    def __init__(
        self, host: ConversationHost, clients: Sequence[ObservedClient], *, footprint_age: float = 0.0
    ) -> None:
        """`clients` are those that are connected at the moment.

        `footprint_age` is how many seconds old the footprints of processes may be: to report one takes a process
        about a millisecond.
        """
        self._host, self._clients, self._footprint_age = host, clients, footprint_age

    async def read(self) -> list[Family]:
        """Return all metrics, after a moment in which each process may report its footprint."""
        return self.read_tables(await self._host.tree.survey(self._footprint_age))

    def read_tables(self, footprints: ProcessFootprints = NO_FOOTPRINTS) -> list[Family]:
        """Return all metrics; those of memory are only of processes in `footprints`."""
        pipes, departed = [client.statistics() for client in self._clients], self._host.departed
        clients = ClientsStatistics(
            connected=len(pipes),
            open_calls=self._host.open_calls(),
            read=sum(pipe.read for pipe in pipes) + departed["read"],
            written=sum(pipe.written for pipe in pipes) + departed["written"],
            waiting=sum(pipe.waiting for pipe in pipes),
        )
        return metric_families(Sources(host=self._host, clients=clients, footprints=footprints))


Labels = TypeVar("Labels", bound=tuple[str, ...])
MetricValue: TypeAlias = float | Mapping[tuple[str, ...], float]
"""A value, or one for each combination of labels."""


def metric_families(sources: Sources) -> list[Family]:
    """Return all metrics with their values, in the order of the table."""
    values = dict(_values(sources))
    distributions = {family.name: family.distributions for family in sources.counters.histograms}
    return [
        Family(name, metric, _samples(values.get(name, {})), distributions.get(name, ()))
        for name, metric in METRICS.items()
    ]


def _samples(value: MetricValue) -> tuple[Sample, ...]:
    if isinstance(value, Mapping):
        return tuple(Sample(labels, float(each)) for labels, each in value.items())
    return (Sample((), float(value)),)


def _values(sources: Sources) -> Iterator[tuple[str, MetricValue]]:
    host = sources.host
    conversations, tree = host.conversations.statistics(), host.tree.statistics()
    yield "greenroom_build", {(__version__, host.options.engine): 1}
    yield "greenroom_start_time_seconds", host.started_at
    yield from _of_conversations(host, conversations)
    yield from _of_calls(sources.counters)
    yield from sources.counters.timings.values()
    yield "greenroom_timings_dropped", sources.counters.untimed
    yield from _of_processes(host, conversations, tree)
    yield from _of_memory(sources.footprints)
    yield from _of_queues(sources.clients, tree, sources.footprints)
    yield "greenroom_telemetry_records", _labelled(host.telemetry_records.counts)
    yield from _of_credential(host)


def _of_conversations(
    host: ConversationHost, conversations: ConversationsStatistics
) -> Iterator[tuple[str, MetricValue]]:
    states = Counter(one.state for one in host.conversations)
    pulses = [one.pulse for one in host.conversations if one.pulse is not None]
    yield "greenroom_conversations", {(state,): states[state] for state in lifecycle.MEANINGS}
    yield "greenroom_conversations_waiting", conversations.waiting_for_place
    yield "greenroom_conversations_held", conversations.held
    yield "greenroom_conversations_forgotten", conversations.forgotten
    yield "greenroom_turns_running", conversations.turns_running
    yield "greenroom_turns_waiting", conversations.turns_waiting
    yield "greenroom_approvals_open", sum(len(pulse.questions) for pulse in pulses)


def _of_calls(counters: TurnCounters) -> Iterator[tuple[str, MetricValue]]:
    kinds: tuple[CallKind, ...] = get_args(CallKind)
    yield "greenroom_calls", {(kind,): counters.calls[kind] for kind in kinds}
    yield "greenroom_calls_refused", {(kind,): counters.refused[kind] for kind in kinds}
    yield "greenroom_turns", {("completed", ""): 0, **_labelled(counters.turns)}


def _of_processes(
    host: ConversationHost, conversations: ConversationsStatistics, tree: TreeStatistics
) -> Iterator[tuple[str, MetricValue]]:
    services = {
        role: status
        for role, status in (
            ("fork_server", host.tree.fork_server_status),
            ("zygote", host.tree.zygote_status),
            ("broker", host.tree.broker_status),
        )
        if status is not None
    }
    present = _labelled({(role,): int(status.pid is not None) for role, status in services.items()})
    workers = len(host.tree.workers.waiting) + conversations.with_process
    yield "greenroom_processes", {(SUPERVISOR,): 1, **present, (CONVERSATION,): workers}
    yield "greenroom_processes_started", tree.engine.born
    yield "greenroom_workers_ready", tree.pool.waiting
    yield "greenroom_workers_starting", tree.pool.expected
    yield "greenroom_workers_ordered", tree.pool.orders
    yield from _of_nodes(host, conversations)
    yield "greenroom_deaths", _labelled(host.tree.exit_history.counts)
    restarts = _labelled({(role,): status.restarts for role, status in services.items()})
    yield "greenroom_restarts", {(CONVERSATION,): conversations.restarts, **restarts}


def _of_nodes(host: ConversationHost, conversations: ConversationsStatistics) -> Iterator[tuple[str, MetricValue]]:
    nodes = host.tree.nodes
    if nodes is None:
        return
    states = Counter(view.state for view in nodes.views())
    yield "greenroom_nodes", {(state,): states[state] for state in NODE_STATES}
    yield "greenroom_node_capacity", nodes.capacity
    conversations_by_state = {"placed": nodes.supply.busy, "waiting": conversations.waiting_for_place}
    yield "greenroom_node_conversations", {(state,): count for state, count in conversations_by_state.items()}


def _labelled(counts: Mapping[Labels, float]) -> dict[tuple[str, ...], float]:
    return {(*labels,): count for labels, count in counts.items()}


def _of_memory(footprints: ProcessFootprints) -> Iterator[tuple[str, MetricValue]]:
    by_role: dict[str, list[Footprint]] = {}
    for worker_id, held in footprints.items():
        by_role.setdefault(_role(worker_id), []).append(held.footprint)

    def each(read: Callable[[Footprint], int | None], join: Callable[[list[int]], int]) -> MetricValue:
        known = {role: [n for n in map(read, ones) if n is not None] for role, ones in by_role.items()}
        return {(role,): join(numbers) for role, numbers in known.items() if numbers}

    yield "greenroom_private_memory_bytes", each(lambda one: one.uss, sum)
    yield "greenroom_largest_private_memory_bytes", each(lambda one: one.uss, max)
    yield "greenroom_proportional_memory_bytes", each(lambda one: one.pss, sum)
    yield "greenroom_open_descriptors", each(lambda one: one.descriptors, sum)


def _role(worker_id: WorkerId) -> str:
    return SUPERVISOR if worker_id == SUPERVISOR else role_of(worker_id)


def _of_queues(
    clients: ClientsStatistics, tree: TreeStatistics, footprints: ProcessFootprints
) -> Iterator[tuple[str, MetricValue]]:
    yield "greenroom_clients", clients.connected
    yield "greenroom_calls_open", clients.open_calls
    yield "greenroom_client_read_bytes", clients.read
    yield "greenroom_client_written_bytes", clients.written
    yield "greenroom_client_waiting_bytes", clients.waiting
    yield "greenroom_worker_waiting_bytes", sum(held.footprint.unsent or 0 for held in footprints.values())
    yield "greenroom_worker_messages_received", tree.router.received
    yield "greenroom_worker_messages_sent", tree.router.sent
    yield "greenroom_worker_messages_refused", tree.router.refused


def _of_credential(host: ConversationHost) -> Iterator[tuple[str, MetricValue]]:
    standing = host.tree.broker.standing
    if standing is not None:
        states: tuple[AuthState, ...] = get_args(AuthState)
        yield "greenroom_credential", {(state,): int(state == standing.state) for state in states}
        if standing.expires_at is not None:
            yield "greenroom_credential_expiry_seconds", standing.expires_at - time.time()
