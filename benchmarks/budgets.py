"""The budgets of figures: limits, and shares of what a rival needs in the same run."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Unit: TypeAlias = Literal["ms", "s", "/s", "µs", "MB", "kB", "%", ""]


@dataclass(frozen=True, slots=True)
class AtMost:
    """A limit that the figure must not exceed, and the value that is aimed at."""

    limit: float
    aim: float | None = None

    def met(self, value: float, reference: float | None) -> bool | None:  # noqa: ARG002
        return value <= self.limit

    def aimed(self) -> "AtMost | None":
        """Return the aim as a budget of its own."""
        return None if self.aim is None else AtMost(self.aim)

    def text(self, unit: Unit) -> str:
        return f"≤ {quantity(self.limit, unit)}" + (f" (aim {quantity(self.aim, unit)})" if self.aim else "")


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A limit that the figure must reach."""

    limit: float

    def met(self, value: float, reference: float | None) -> bool | None:  # noqa: ARG002
        return value >= self.limit

    def aimed(self) -> None:
        """There is no aim."""

    def text(self, unit: Unit) -> str:
        return f"≥ {quantity(self.limit, unit)}"


@dataclass(frozen=True, slots=True)
class RatioAtMost:
    """A share of the figure of the reference in the same run; undecided if that is missing."""

    ratio: float
    aim: float | None = None
    rival: str = "reference"
    """What is compared with, in words."""

    def met(self, value: float, reference: float | None) -> bool | None:
        return None if reference is None else value <= self.ratio * reference

    def aimed(self) -> "RatioAtMost | None":
        """Return the aim as a budget of its own."""
        return None if self.aim is None else RatioAtMost(self.aim, rival=self.rival)

    def text(self, unit: Unit) -> str:  # noqa: ARG002
        return f"≤ {self.ratio} \u00d7 {self.rival}" + (f" (aim {self.aim} \u00d7)" if self.aim else "")


@dataclass(frozen=True, slots=True)
class RatioAtLeast:
    """A multiple of the reference's figure in the same run; undecided where that is missing."""

    ratio: float
    aim: float | None = None

    def met(self, value: float, reference: float | None) -> bool | None:
        return None if reference is None else value >= self.ratio * reference

    def aimed(self) -> "RatioAtLeast | None":
        """Return the aim as a budget of its own."""
        return None if self.aim is None else RatioAtLeast(self.aim)

    def text(self, unit: Unit) -> str:  # noqa: ARG002
        return f"≥ {self.ratio} \u00d7 reference" + (f" (aim {self.aim} \u00d7)" if self.aim else "")


@dataclass(frozen=True, slots=True)
class Both:
    """A limit in units and a share of the reference's figure, of which neither may be exceeded."""

    limit: AtMost
    share: RatioAtMost

    def met(self, value: float, reference: float | None) -> bool | None:
        return self.limit.met(value, reference) and self.share.met(value, reference)

    def aimed(self) -> "Both | None":
        """Return the aim as a budget of its own; a part that has none counts as it is."""
        limit, share = self.limit.aimed(), self.share.aimed()
        return None if limit is None and share is None else Both(limit or self.limit, share or self.share)

    def text(self, unit: Unit) -> str:
        return f"{self.limit.text(unit)} and {self.share.text(unit)}"


Budget: TypeAlias = AtMost | AtLeast | RatioAtMost | RatioAtLeast | Both


def quantity(value: float, unit: Unit) -> str:
    """Return a value with its unit, with about three significant digits."""
    if unit == "/s":
        return f"{value:,.0f} {unit}"
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}".rstrip()
