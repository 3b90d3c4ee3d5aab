"""The picture of the page: CPU and delays against the number of conversations that stream."""

from typing import Final

from benchmarks.capacity import LONGEST, RATE
from benchmarks.chart import Panel, svg
from benchmarks.report import Samples
from benchmarks.subject import GREENROOM, REFERENCE

NAME: Final = "streaming.svg"
MARKDOWN: Final = (
    f"![CPU and delay against the number of conversations that stream at once, for Greenroom and the reference]({NAME})"
)


def picture(samples: Samples) -> str:
    """Return the picture of what a number of streams costs each program, nothing where that was not measured."""
    names = {GREENROOM: "Greenroom", REFERENCE: "Reference"}
    measured = {shown: name for name, shown in names.items() if samples.get(("curve-conversations", name))}
    if not measured:
        return ""

    def lines(key: str) -> dict[str, list[tuple[float, float]]]:
        return {
            shown: list(zip(samples["curve-conversations", name], samples[key, name], strict=True))
            for shown, name in measured.items()
        }

    title = f"conversations, {RATE} deltas a second each"
    return svg(
        [
            Panel("CPU, cores", title, lines("curve-cores")),
            Panel("delay of a delta, p99, ms", title, lines("curve-p99"), logarithmic=True, limit=LONGEST * 1e3),
        ]
    )
