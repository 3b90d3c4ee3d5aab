"""The rows of the budget table, each with its budget."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Unit: TypeAlias = Literal["ms", "s", "/s", "µs", "MB", "kB", "%"]
Statistic: TypeAlias = Literal["median", "p99"]


@dataclass(frozen=True, slots=True)
class AtMost:
    """A limit that the figure must not exceed."""

    limit: float

    def met(self, value: float, reference: float | None) -> bool | None:  # noqa: ARG002
        return value <= self.limit

    def text(self, unit: Unit) -> str:
        return f"≤ {quantity(self.limit, unit)}"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A limit that the figure must reach."""

    limit: float

    def met(self, value: float, reference: float | None) -> bool | None:  # noqa: ARG002
        return value >= self.limit

    def text(self, unit: Unit) -> str:
        return f"≥ {quantity(self.limit, unit)}"


@dataclass(frozen=True, slots=True)
class RatioAtMost:
    """A share of the reference's figure in the same run; undecided if that is missing."""

    ratio: float
    aim: float | None = None

    def met(self, value: float, reference: float | None) -> bool | None:
        return None if reference is None else value <= self.ratio * reference

    def text(self, unit: Unit) -> str:  # noqa: ARG002
        return f"≤ {self.ratio} \u00d7 reference" + (f" (aim {self.aim} \u00d7)" if self.aim else "")


Budget: TypeAlias = AtMost | AtLeast | RatioAtMost


@dataclass(frozen=True, slots=True)
class Figure:
    """One row."""

    key: str
    title: str
    unit: Unit
    budget: Budget | None
    """`None` for a figure that only puts others into proportion."""
    statistic: Statistic = "median"


FIGURES: Final = (
    Figure("start", "start → `initialize` answered", "ms", RatioAtMost(0.6)),
    Figure("first-turn", "start → first turn answered", "ms", RatioAtMost(1.0, aim=0.6)),
    Figure("new-conversation", "new conversation: call → request at the model", "ms", AtMost(8)),
    Figure("return", "parked conversation: call → request at the model", "ms", None),
    Figure("reply", "trivial reply turn, whole", "ms", AtMost(8)),
    Figure("deltas", "text deltas relayed to the client", "/s", AtLeast(50_000)),
    Figure("delta-cpu", "CPU for one delta, all processes", "µs", AtMost(30)),
    Figure("single-delta-cpu", "CPU for one delta where 200 a second arrive one by one", "µs", None),
    Figure("crowd", "100 calls at once, each thinking 2 \u00d7 0.3 s and running one command", "s", AtMost(1.6)),
    Figure("memory-waiting", "private memory of a worker that waits for its conversation", "MB", AtMost(4)),
    Figure("memory-idle", "private memory of a worker that has had a turn", "MB", AtMost(4)),
    Figure("memory-parked", "memory of a parked conversation", "kB", AtMost(20)),
    Figure("idle-cpu", "CPU of 100 idle conversations, of one core", "%", AtMost(0.5)),
    Figure("sandbox", "one step with a sandboxed command (`true`), above its bare spawn", "ms", AtMost(8)),
    Figure("no-sandbox", "the same without a sandbox", "ms", None),
    Figure("login-shell", "one step with `bash -lc true` where the profile takes 0.3 s", "ms", RatioAtMost(0.6)),
    Figure("bearer", "a worker's bearer from the auth broker, with 100 workers asking", "ms", None),
    Figure("bearer-p99", "the same, p99", "ms", None, "p99"),
    Figure("kill", "worker killed → its call answered, p99", "ms", AtMost(50), "p99"),
)
KEYS: Final = tuple(figure.key for figure in FIGURES)


def quantity(value: float, unit: Unit) -> str:
    """Return a value with its unit, with about three significant digits."""
    if unit == "/s":
        return f"{value:,.0f} {unit}"
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"
