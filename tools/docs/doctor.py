"""Makes the table of checks in docs/doctor.md from `greenroom.supervisor.cli.doctor.table`.

`make docs` puts it in its place. `python tools/docs/doctor.py --check` only tells whether it is there, by its exit
status.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from generated import GeneratedPage

from greenroom.supervisor.cli.doctor.table import CHECKS, NODE_CHECKS, Check

PAGE: Final = Path(__file__).parents[2] / "docs" / "doctor.md"
BEGIN: Final = "<!-- checks: made by tools/docs/doctor.py -->\n"
BEGIN_OF_NODES: Final = "<!-- checks of nodes: made by tools/docs/doctor.py -->\n"
END: Final = "<!-- end of checks -->\n"


ON_NODE_ALONE: Final = [check for check in NODE_CHECKS if check not in CHECKS]


def table(checks: Sequence[Check]) -> str:
    """Return the table of checks."""
    rows = [f"| `{check.id}` | `{check.category}` | {check.meaning} |\n" for check in checks]
    return "| Id | Category | What it tells |\n|---|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    sys.exit(
        GeneratedPage(PAGE, END, {BEGIN: table(CHECKS), BEGIN_OF_NODES: table(ON_NODE_ALONE)}).bring_up_to_date(
            sys.argv[1:]
        )
    )
