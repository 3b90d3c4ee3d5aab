"""What has become of spans and events for collectors of OpenTelemetry, for metrics and for the report."""

from collections import Counter
from typing import Literal, TypeAlias

Signal: TypeAlias = Literal["spans", "events"]
DeliveryOutcome: TypeAlias = Literal["sent", "failed", "dropped"]


class TelemetryRecords:
    """Those of one instance."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Signal, DeliveryOutcome]] = Counter()
        self.failures: dict[Signal, str] = {}
        """Why the collector has not taken some, in a few words; of each signal the last failure."""

    def count(self, signal: Signal, outcome: DeliveryOutcome, records: int, why: str = "") -> None:
        """Count records; `why` is that of a failure."""
        self.counts[signal, outcome] += records
        if why:
            self.failures[signal] = why
