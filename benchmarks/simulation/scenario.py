"""What is simulated: machines, their failures, and what clients do. All times are seconds."""

from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
DAY: Final = 86_400.0
MONTH: Final = 30 * DAY
YEAR: Final = 365 * DAY


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. Intervals of time are exponential with the mean that is given, but for those of the program itself."""

    running: int = 10_000
    """Turns that run at a time, on average, as long as the host carries them."""
    parked: int = 1_000_000
    """Conversations without a process, of which most are on the disk alone."""
    nodes: int = 100
    capacity: int = 150
    """Workers of a node."""
    turn: float = 60.0
    """Length of a turn."""
    streaming: float = 0.25
    """Part of a turn in which text comes."""
    requests: int = 4
    """Model requests of a turn, each with a bearer."""
    replies: float = 0.6
    """Share of the turns that are answered by their client with another one."""
    think: float = 90.0
    """Until that comes."""
    resumed: float = 0.5
    """Share of all other turns that go on with a parked conversation; the rest begin one."""
    searched: float = 0.02
    """Share of the parked conversations whose file began seconds after its id, so that its day is searched for it."""
    days: int = 30
    """Days over which the files of the parked conversations are spread."""
    park_after: float = 300.0
    drain: float = 30.0
    lease: float = 2.5
    remembered: int = 10_000
    """Parked conversations that the host keeps in memory (`known_at_rest`)."""
    stream_share: float = 1.0
    """Cost of a conversation that streams, as a share of the measured one."""
    failing: float = 0.0
    """Mean between two losses of any node, 0 for none."""
    notice: float = 0.0
    """Seconds before the end at which a node is told of it, and is drained."""
    replaced_after: float = 120.0
    """Until another node stands in its place."""
    retry: float = 5.0
    """Until a client repeats a call that was lost."""
    host_restart_at: float | None = None
    host_down: float = 2.0
    """Seconds until the next host listens."""
    warm_up: float = 4 * MINUTE
    length: float = 3 * MINUTE
    """After the warm-up."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class FailureRate:
    """How often machines go, as published."""

    name: str
    per_node_and_day: float
    notice: float
    source: str


RATES: Final = (
    FailureRate(
        "machines of one's own",
        1000 / 1800 / 365,
        0.0,
        "J. Dean, Google I/O 2008: about 1,000 failures of single machines a year in a cluster of 1,800",
    ),
    FailureRate(
        "spot, 5 % a month",
        0.05 / 30,
        120.0,
        "AWS Spot Instance Advisor: the lowest of its classes ends there; a notice comes two minutes before",
    ),
    FailureRate(
        "spot, 20 % a month",
        0.20 / 30,
        120.0,
        "AWS Spot Instance Advisor: the highest of its classes begins there",
    ),
)
