"""The report of all checks: the form that programs read, and the exit code."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from greenroom.protocol.version import __version__
from greenroom.supervisor.cli.doctor.finding import SEVERITY, Detail, Finding, FindingStatus, worst
from greenroom.supervisor.cli.doctor.secret_texts import SecretTexts

SCHEMA_VERSION: Final = 1
"""Rises when a member changes its meaning or is taken away, not when one is added."""

WITHHELD: Final = "the secrets to be masked could not be collected, so no text is shown; please report this defect"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check, and what it has found."""

    id: str
    category: str
    finding: Finding
    seconds: float

    def withheld(self) -> "CheckResult":
        """Return the result without its texts, for where it is not known what in them is secret."""
        remedy = None if self.finding.status == "ok" else WITHHELD
        return replace(self, finding=Finding(self.finding.status, WITHHELD, {}, remedy))


class CheckEntry(msgspec.Struct, frozen=True, rename="camel"):
    """One check as programs see it."""

    id: str
    category: str
    status: FindingStatus
    summary: str
    details: dict[str, str | list[str]]
    remediation: str | None
    duration_ms: int


class DoctorReport(msgspec.Struct, frozen=True, rename="camel"):
    """The output of `greenroom doctor --json`, in the form that hosts know from `codex doctor --json`."""

    schema_version: int
    generated_at: str
    """RFC 3339, in UTC."""
    overall_status: FindingStatus
    codex_version: str
    """The version of this program, under the name that hosts look for."""
    greenroom_version: str
    codex_home: str
    duration_ms: int
    checks: dict[str, CheckEntry]
    """By id."""

    @property
    def exit_code(self) -> int:
        """0: all is well. 1: there are warnings. 2: something fails."""
        return SEVERITY[self.overall_status]


def make_report(
    results: Sequence[CheckResult], secrets: SecretTexts, *, home: str, at: float, seconds: float
) -> DoctorReport:
    """Return the report, without the secrets. `at` is in seconds since the epoch, `seconds` what all checks took."""
    entries = [_entry(result, secrets) for result in results]
    return DoctorReport(
        schema_version=SCHEMA_VERSION,
        generated_at=datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        overall_status=worst([entry.status for entry in entries]),
        codex_version=__version__,
        greenroom_version=__version__,
        codex_home=secrets.cleared(home),
        duration_ms=round(seconds * 1000),
        checks={entry.id: entry for entry in entries},
    )


def report_as_json(report: DoctorReport) -> str:
    """Return the report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report)).decode()


def _entry(result: CheckResult, secrets: SecretTexts) -> CheckEntry:
    finding = result.finding
    return CheckEntry(
        id=result.id,
        category=result.category,
        status=finding.status,
        summary=secrets.cleared(finding.summary),
        details={secrets.cleared(name): _detail(detail, secrets) for name, detail in finding.details.items()},
        remediation=None if finding.remediation is None else secrets.cleared(finding.remediation),
        duration_ms=round(result.seconds * 1000),
    )


def _detail(detail: Detail, secrets: SecretTexts) -> str | list[str]:
    return secrets.cleared(detail) if isinstance(detail, str) else _lines(detail, secrets)


def _lines(detail: Iterable[str], secrets: SecretTexts) -> list[str]:
    return [secrets.cleared(line) for line in detail]
