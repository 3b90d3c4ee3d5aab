"""Makes the part of docs/architecture.md about states from the tables in `supervisor.lifecycle`.

`make docs` puts it in its place. `python docs/lifecycle.py --check` only tells whether it is there, by its exit status.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from supervisor.lifecycle import MEANINGS, TRANSITIONS, State

PAGE: Final = Path(__file__).with_name("architecture.md")
BEGIN: Final = "<!-- states: made by docs/lifecycle.py -->\n"
END: Final = "<!-- end of states -->\n"


def diagram() -> str:
    """Return the transitions in the language of Mermaid, and in words those that lead the same way from every state."""
    states = sorted({state for state, _ in TRANSITIONS})
    everywhere = {
        happening: following
        for (_, happening), following in TRANSITIONS.items()
        if all(TRANSITIONS.get((state, happening)) == following for state in states)
    }
    arrows: defaultdict[tuple[State, State], list[str]] = defaultdict(list)
    for (state, happening), following in TRANSITIONS.items():
        if happening not in everywhere:
            arrows[state, following].append(happening)
    lines = [
        "[*] --> new",
        *(f"{state} --> {following}: {', '.join(happenings)}" for (state, following), happenings in arrows.items()),
        *(f"{following} --> [*]" for following in everywhere.values()),
    ]
    drawn = "```mermaid\nstateDiagram-v2\n" + "".join(f"    {line}\n" for line in lines) + "```\n"
    return drawn + "".join(
        f"\nFrom every state, `{happening}` leads to `{following}`.\n" for happening, following in everywhere.items()
    )


def meanings() -> str:
    """Return a table of the states and what they mean."""
    rows = [f"| `{state}` | {meaning} |\n" for state, meaning in MEANINGS.items()]
    return "| State | The conversation |\n|---|---|\n" + "".join(rows)


def with_states(page: str) -> str:
    """Return the page with its generated part as it should be. Raises `ValueError` where it has no place for it."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no lines {BEGIN.strip()} and {END.strip()}")
    return before + begin + diagram() + "\n" + meanings() + end + after


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with `--check` return 1 where it is out of date."""
    page = PAGE.read_text("utf-8")
    wanted = with_states(page)
    if "--check" not in arguments:
        PAGE.write_text(wanted, "utf-8")
    elif page != wanted:
        sys.stderr.write(f"The states in docs/{PAGE.name} are not those of supervisor/lifecycle.py; run: make docs\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
