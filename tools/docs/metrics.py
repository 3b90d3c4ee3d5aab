"""Makes the table of docs/metrics.md from `greenroom.protocol.telemetry.metrics`.

`make docs` puts it in its place. `python tools/docs/metrics.py --check` only tells whether it is there, by its exit
status.
"""

import sys
from pathlib import Path
from typing import Final

from generated import GeneratedPage

from greenroom.protocol.telemetry.metric import Metric
from greenroom.protocol.telemetry.metrics import METRICS

PAGE: Final = Path(__file__).parents[2] / "docs" / "metrics.md"
BEGIN: Final = "<!-- metrics: made by tools/docs/metrics.py -->\n"
END: Final = "<!-- end of metrics -->\n"
_SHOWN: Final = {"counter": "_total", "gauge": "", "info": "_info", "histogram": ""}


def table() -> str:
    """Return the table of all metrics."""
    rows = [_row(name, metric) for name, metric in METRICS.items()]
    return "| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n" + "".join(rows)


def _row(name: str, metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{name}{_SHOWN[metric.kind]}` | {metric.kind} | {labels} | {metric.help} |\n"


def main() -> int:
    """Bring the page up to date, or check it."""
    return GeneratedPage(PAGE, END, {BEGIN: table()}).bring_up_to_date(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
