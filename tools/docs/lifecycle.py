"""Makes the parts of docs/architecture.md about states from `greenroom.supervisor.conversations.state.lifecycle` and
`greenroom.supervisor.processes.service_state`.

`make docs` puts them in their places. `python tools/docs/lifecycle.py --check` only tells whether they are there, by
its exit
status.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from generated import GeneratedPage

from greenroom.supervisor.conversations.state import lifecycle
from greenroom.supervisor.processes import service_state as helper

State = TypeVar("State", bound=str)
Event = TypeVar("Event", bound=str)

PAGE: Final = Path(__file__).parents[2] / "docs" / "architecture.md"
BEGIN: Final = "<!-- states{}: made by tools/docs/lifecycle.py -->\n"
END: Final = "<!-- end of states -->\n"


def diagram(transitions: Mapping[tuple[State, Event], State], first: str) -> str:
    """Return the transitions in the language of Mermaid, and in words those that lead the same way from every state."""
    states = sorted({state for state, _ in transitions})
    everywhere = {
        happening: following
        for (_, happening), following in transitions.items()
        if all(transitions.get((state, happening)) == following for state in states)
    }
    arrows: defaultdict[tuple[State, State], list[Event]] = defaultdict(list)
    for (state, happening), following in transitions.items():
        if happening not in everywhere:
            arrows[state, following].append(happening)
    lines = [
        f"[*] --> {first}",
        *(f"{state} --> {following}: {', '.join(happenings)}" for (state, following), happenings in arrows.items()),
        *(f"{following} --> [*]" for following in everywhere.values()),
    ]
    drawn = "```mermaid\nstateDiagram-v2\n" + "".join(f"    {line}\n" for line in lines) + "```\n"
    return drawn + "".join(
        f"\nFrom every state, `{happening}` leads to `{following}`.\n" for happening, following in everywhere.items()
    )


def meanings(states: Mapping[State, str], whose: str) -> str:
    """Return a table of the states and what they mean."""
    rows = [f"| `{state}` | {meaning} |\n" for state, meaning in states.items()]
    return f"| State | {whose} |\n|---|---|\n" + "".join(rows)


def parts() -> dict[str, str]:
    """Return the generated parts of the page, each by the line before it."""
    conversation = f"{diagram(lifecycle.TRANSITIONS, 'new')}\n{meanings(lifecycle.MEANINGS, 'The conversation')}"
    helpers = f"{diagram(helper.TRANSITIONS, 'starting')}\n{meanings(helper.MEANINGS, 'The fork server or the broker')}"
    return {BEGIN.format(""): conversation, BEGIN.format(" of helpers"): helpers}


if __name__ == "__main__":
    sys.exit(GeneratedPage(PAGE, END, parts()).bring_up_to_date(sys.argv[1:]))
