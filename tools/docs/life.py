"""Draws docs/images/life.svg, the life of a conversation, from `greenroom.supervisor.conversations.state.lifecycle`.

`make docs` draws it. `python tools/docs/life.py --check` only tells whether it is up to date, by its exit status.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from generated import GeneratedPage

from greenroom.supervisor.conversations.state.lifecycle import TRANSITIONS, WITH_PROCESS, LifecycleEvent, LifecycleState

PICTURE: Final = Path(__file__).parents[2] / "docs" / "images" / "life.svg"
WIDTH, HEIGHT = 860, 400
BOX: Final = (110, 40)
PLACES: Final[Mapping[LifecycleState, tuple[int, int]]] = {
    "new": (70, 70),
    "starting": (290, 70),
    "idle": (520, 70),
    "running": (770, 70),
    "parked": (290, 210),
    "parking": (520, 210),
    "crashed": (770, 210),
    "failed": (770, 340),
    "closed": (70, 210),
}
"""The middle of each state's box."""
EVERYWHERE: Final = "closed"
"""Leads from every state to `closed`; said in words, and not drawn."""


class Route(NamedTuple):
    """The way of an arrow: where it leaves and enters the boxes, from their middles, and how far it bends aside."""

    leaves: tuple[int, int]
    enters: tuple[int, int]
    bend: int = 0
    label: tuple[int, int] = (0, -8)
    """Place of the text, from the middle of the arrow."""


ROUTES: Final[Mapping[tuple[LifecycleState, LifecycleState], Route]] = {
    ("new", "starting"): Route((55, 0), (-55, 0)),
    ("starting", "idle"): Route((55, 0), (-55, 0)),
    ("idle", "running"): Route((55, -8), (-55, -8)),
    ("running", "idle"): Route((-55, 8), (55, 8), label=(0, 20)),
    ("idle", "parking"): Route((0, 20), (0, -20), label=(46, 4)),
    ("parking", "parked"): Route((-55, 0), (55, 0)),
    ("parked", "starting"): Route((0, -20), (0, 20), label=(-32, 4)),
    ("starting", "closed"): Route((-40, 20), (40, -20), label=(-44, 4)),
    ("running", "crashed"): Route((20, 20), (20, -20), label=(24, 4)),
    ("idle", "crashed"): Route((40, 20), (-40, -20), label=(14, -8)),
    ("starting", "crashed"): Route((40, 20), (-55, 6), 60, (-30, 6)),
    ("crashed", "failed"): Route((0, 20), (0, -20), label=(-56, 4)),
    ("crashed", "starting"): Route((-40, 20), (20, 20), -150, (60, 40)),
    ("failed", "starting"): Route((-55, 0), (-40, 20), -150, (20, 30)),
}
HEAD: Final = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" \
aria-label="The life of a conversation">
<style>
text {{ font: 14px sans-serif; text-anchor: middle; fill: #24292f }}
.event {{ font-size: 12px; fill: #57606a }}
rect {{ fill: #ffffff; stroke: #57606a; stroke-width: 1.5 }}
.process {{ fill: #dafbe1; stroke: #1a7f37 }}
path {{ fill: none; stroke: #57606a; stroke-width: 1.5; marker-end: url(#head) }}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0 L8 4 L0 8 z" style="fill:#57606a;stroke:none;marker-end:none"/></marker></defs>
<rect x="0" y="0" width="{WIDTH}" height="{HEIGHT}" style="fill:#ffffff;stroke:none"/>
"""


def arrows(
    transitions: Mapping[tuple[LifecycleState, LifecycleEvent], LifecycleState],
) -> dict[tuple[LifecycleState, LifecycleState], list[str]]:
    """Return the events that lead from one state to another, but for the one that leads from every state."""
    found: defaultdict[tuple[LifecycleState, LifecycleState], list[str]] = defaultdict(list)
    for (state, event), following in transitions.items():
        if event != EVERYWHERE:
            found[state, following].append(event)
    return dict(found)


def picture() -> str:
    """Return the drawing. Raises `KeyError` where a state has no place, or a transition no way."""
    drawn = [_arrow(states, ", ".join(events)) for states, events in arrows(TRANSITIONS).items()]
    drawn += [_box(state) for state in PLACES]
    x = PLACES["closed"][0] + 25
    words = f'<text class="event" x="{x}" y="250">from every state, by {EVERYWHERE}</text>\n'
    legend = '<text class="event" x="250" y="30">green: it has a process</text>\n'
    return HEAD + "".join(drawn) + words + legend + "</svg>\n"


def _box(state: LifecycleState) -> str:
    x, y = PLACES[state]
    kind = ' class="process"' if state in WITH_PROCESS else ""
    rect = f'<rect{kind} x="{x - BOX[0] // 2}" y="{y - BOX[1] // 2}" width="{BOX[0]}" height="{BOX[1]}" rx="8"/>'
    return f'{rect}<text x="{x}" y="{y + 5}">{escape(state)}</text>\n'


def _arrow(states: tuple[LifecycleState, LifecycleState], text: str) -> str:
    route = ROUTES[states]
    (x1, y1), (x2, y2) = (
        (PLACES[state][0] + by[0], PLACES[state][1] + by[1])
        for state, by in zip(states, (route.leaves, route.enters), strict=True)
    )
    middle = ((x1 + x2) // 2, (y1 + y2) // 2 - route.bend)
    way = f"M{x1} {y1} Q{middle[0]} {middle[1]} {x2} {y2}" if route.bend else f"M{x1} {y1} L{x2} {y2}"
    at = ((x1 + x2) // 2 + route.label[0], (y1 + y2) // 2 - route.bend // 2 + route.label[1])
    return f'<path d="{way}"/><text class="event" x="{at[0]}" y="{at[1]}">{escape(text)}</text>\n'


if __name__ == "__main__":
    sys.exit(GeneratedPage(PICTURE).replace(picture(), sys.argv[1:]))
