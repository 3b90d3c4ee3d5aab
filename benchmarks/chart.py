"""Line charts as SVG, side by side, readable on light and on dark pages. Free of I/O."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias

Points: TypeAlias = Sequence[tuple[float, float]]

_WIDTH: Final = 400
_HEIGHT: Final = 280
_LEFT: Final = 58
_RIGHT: Final = 14
_TOP: Final = 54
_BOTTOM: Final = 44
_STYLE: Final = """\
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 13px }
.grid { stroke: #d0d7de; stroke-width: 1 }
.limit { stroke: #9a6700; stroke-width: 1.5; stroke-dasharray: 5 4 }
.line { fill: none; stroke-width: 2 }
.c0 { stroke: #0969da } .c1 { stroke: #cf222e } .c2 { stroke: #1a7f37 }
.d0 { fill: #0969da } .d1 { fill: #cf222e } .d2 { fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .grid { stroke: #3d444d }
  .limit { stroke: #d29922 }
  .c0 { stroke: #58a6ff } .c1 { stroke: #ff7b72 } .c2 { stroke: #3fb950 }
  .d0 { fill: #58a6ff } .d1 { fill: #ff7b72 } .d2 { fill: #3fb950 }
}"""


@dataclass(frozen=True, slots=True)
class Axis:
    """The range of one direction, from 0, or from the power of ten below the least value where logarithmic."""

    title: str
    least: float
    most: float
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return where a value lies, from 0 to 1."""
        if self.logarithmic:
            low, high = math.log10(self.least), math.log10(self.most)
            return (math.log10(max(value, self.least)) - low) / (high - low)
        return (value - self.least) / (self.most - self.least)

    def ticks(self) -> list[float]:
        """Return the values that have a line: powers of ten, or about five round steps."""
        if self.logarithmic:
            return [10.0**power for power in range(round(math.log10(self.least)), round(math.log10(self.most)) + 1)]
        step = _round_step(self.most / 5)
        return [step * number for number in range(math.floor(self.most / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: a line for each name, in the order in which they are coloured; three at most."""

    title: str
    x_title: str
    lines: Mapping[str, Points]
    logarithmic: bool = False
    limit: float | None = None
    """A value with a dashed line of its own."""


def axis(title: str, values: Sequence[float], *, logarithmic: bool = False) -> Axis:
    """Return an axis on which all values find room."""
    most = max(values, default=1.0) or 1.0
    if not logarithmic:
        step = _round_step(most / 5)
        return Axis(title, 0.0, step * math.ceil(most / step - 1e-9))
    low = math.floor(math.log10(min(value for value in values if value > 0)))
    return Axis(title, 10.0**low, 10.0 ** max(low + 1, math.ceil(math.log10(most))), logarithmic=True)


def svg(panels: Sequence[Panel]) -> str:
    """Return the charts as one picture."""
    width = _WIDTH * len(panels)
    drawn = "\n".join(
        f'<g transform="translate({number * _WIDTH} 0)">\n{_panel(panel)}\n</g>' for number, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}"'
        f' role="img">\n<title>{escape("; ".join(panel.title for panel in panels))}</title>\n'
        f"<style>\n{_STYLE}\n</style>\n{drawn}\n</svg>\n"
    )


def _panel(panel: Panel) -> str:
    points = [point for line in panel.lines.values() for point in line]
    across = axis(panel.x_title, [x for x, _ in points])
    limit = [] if panel.limit is None else [panel.limit]
    up = axis(panel.title, [*(y for _, y in points), *limit], logarithmic=panel.logarithmic)
    parts = [f'<text class="title" x="{_LEFT}" y="18">{escape(panel.title)}</text>']
    for value in up.ticks():
        parts.append(_rule("grid", _y(up, value)))
        parts.append(f'<text x="{_LEFT - 6}" y="{_y(up, value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in across.ticks():
        x = _x(across, value)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 17}" text-anchor="middle">{value:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:g}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(panel.x_title)}</text>')
    parts += [_rule("limit", _y(up, value)) for value in limit]
    for number, (name, line) in enumerate(panel.lines.items()):
        places = [(_x(across, x), _y(up, y)) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="line c{number}" points="{path}"/>')
        parts += [f'<circle class="d{number}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in places]
        left = _LEFT + number * 110
        parts.append(f'<circle class="d{number}" cx="{left + 4}" cy="34" r="4"/>')
        parts.append(f'<text x="{left + 13}" y="38">{escape(name)}</text>')
    return "\n".join(parts)


def _x(across: Axis, value: float) -> float:
    return _LEFT + across.share(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(up: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - up.share(value) * (_HEIGHT - _TOP - _BOTTOM)


def _rule(kind: str, y: float) -> str:
    return f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _round_step(rough: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is no less."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))
