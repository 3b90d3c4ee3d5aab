"""What a check finds, as a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

FindingStatus: TypeAlias = Literal["ok", "warning", "fail"]
Detail: TypeAlias = str | Sequence[str]

SEVERITY: Final[Mapping[FindingStatus, int]] = {"ok": 0, "warning": 1, "fail": 2}
"""How bad a status is; also the exit code where it is the worst."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check. Whatever is not well says what to do."""

    status: FindingStatus
    summary: str
    """One line for people."""
    details: Mapping[str, Detail] = field(default_factory=dict)
    """Facts by their names, for people who want to know more and for programs."""
    remediation: str | None = None

    def __post_init__(self) -> None:
        if self.status != "ok" and not self.remediation:
            raise ValueError(f"this finding does not say what to do: {self.summary}")


class Problem(NamedTuple):
    """One of several things that a check may find wrong."""

    status: Literal["warning", "fail"]
    text: str
    remedy: str


def worst(statuses: Sequence[FindingStatus]) -> FindingStatus:
    """Return the worst status; `ok` where there is none."""
    return max(statuses, key=SEVERITY.__getitem__, default="ok")


def combined_finding(problems: Sequence[Problem], well: str, details: Mapping[str, Detail] | None = None) -> Finding:
    """Return one finding for all problems, the worst first; `well` is the summary where there are none."""
    if not problems:
        return Finding("ok", well, details or {})
    ordered = sorted(problems, key=lambda problem: SEVERITY[problem.status], reverse=True)
    remedies = dict.fromkeys(problem.remedy for problem in ordered)
    summary = "; ".join(problem.text for problem in ordered)
    return Finding(ordered[0].status, summary, details or {}, " ".join(remedies))
