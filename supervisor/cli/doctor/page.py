"""The report as lines for a terminal: one for each check, and below those that are not well what to do.

Free of I/O and clocks.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from rich.text import Text

from greenroom.supervisor.cli.doctor.finding import SEVERITY, FindingStatus
from greenroom.supervisor.cli.doctor.report import CheckEntry, DoctorReport
from greenroom.supervisor.cli.status.formatting import counted
from greenroom.supervisor.cli.status.table import clipped, wrap

STYLES: Final[Mapping[FindingStatus, str]] = {"ok": "green", "warning": "yellow", "fail": "bold red"}
MARKS: Final[Mapping[FindingStatus, str]] = {"ok": "ok", "warning": "WARN", "fail": "FAIL"}
_MARGIN: Final = 6
"""Cells before the text of a check."""


def doctor_page(report: DoctorReport, room: int | None, *, details: bool = False, summary: bool = False) -> list[Text]:
    """Return the lines; `room`: cells of a line, `None` for as many as it takes.

    `details`: all facts of all checks. `summary`: only the counts, and the checks that are not well.
    """
    lines = [clipped(f"greenroom doctor  {report.greenroom_version}  {report.codex_home}", room, "bold")]
    entries = [entry for entry in report.checks.values() if not summary or entry.status != "ok"]
    lines.append(Text())
    for entry in entries:
        lines += _entry(entry, room, details=details)
    return [*lines, Text(), _counts(report, room)]


def _entry(entry: CheckEntry, room: int | None, *, details: bool) -> Iterator[Text]:
    head = f"{MARKS[entry.status]:<{_MARGIN - 1}} {entry.id}: {entry.summary}"
    for number, line in enumerate(_wrapped(head, room)):
        if number == 0:
            line.stylize(STYLES[entry.status], 0, len(MARKS[entry.status]))
        yield line
    if entry.remediation is not None:
        yield from _indented(f"→ {entry.remediation}", room, "bold")
    if details:
        for name, detail in entry.details.items():
            for text in [detail] if isinstance(detail, str) else detail:
                yield from _indented(f"{name}: {text}", room, "dim")


def _wrapped(text: str, room: int | None) -> list[Text]:
    """Wrap the head of a check so that its second line begins where the text of the first does."""
    first, *rest = wrap(text, room)
    if not rest:
        return [first]
    return [first, *_indented(text[len(first.plain) :].strip(), room)]


def _indented(text: str, room: int | None, style: str = "") -> list[Text]:
    width = None if room is None else max(1, room - _MARGIN)
    return [Text(" " * _MARGIN + line.plain, style) for line in wrap(text, width)]


def _counts(report: DoctorReport, room: int | None) -> Text:
    statuses = [entry.status for entry in report.checks.values()]
    words = {"ok": "ok", "warning": "warning", "fail": "failure"}
    parts = [
        f"{statuses.count(status)} ok" if status == "ok" else counted(statuses.count(status), words[status])
        for status in SEVERITY
    ]
    text = f"{counted(len(statuses), 'check')}: {', '.join(parts)}  ({report.duration_ms / 1000:.1f} s)"
    return clipped(text, room, STYLES[report.overall_status])
