"""Draws docs/images/status.svg, what `greenroom status` shows, by the code that shows it, of an instance of the tests.

`make docs` draws it. `python tools/docs/status_screen.py --check` only tells whether it is up to date, by its exit
status.
"""

import io
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from generated import GeneratedPage  # noqa: E402

from greenroom.supervisor.cli.status.page import overview_page  # noqa: E402
from tests.supervisor.cli.status.sights import ID, conversation, report, sight, view  # noqa: E402

PICTURE: Final = ROOT / "docs" / "images" / "status.svg"
COLUMNS: Final = 90
FORM: Final = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" \
role="img" aria-label="greenroom status">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""That of rich, without its fonts, which are those of another host."""


def picture() -> str:
    """Return the drawing."""
    busy = report(
        client={"name": "claude-code", "version": "2.1"},
        work={
            "calls": 48,
            "calls_refused": 0,
            "turns": {"completed": 44, "failed": 2, "aborted": 1},
            "first_token": {"p50": 0.85, "p99": 4.2},
            "tokens": {"input": 1_200_000, "output": 42_345},
            "rate_limited": 3,
            "deaths": 1,
        },
        conversations=(
            conversation(queued=2, tokens=12_345, model="gpt-5", title="Mend the build"),
            conversation(id=ID[:-4] + "7777", state="parked", turn=None, idle_for=108_000, tokens=1_230_000),
        ),
        deaths=(
            {
                "at": 0.0,
                "process": "w-01a",
                "pid": 4242,
                "cause": "signal 9 (SIGKILL)",
                "max_rss": 82 << 20,
                "conversation_id": ID,
                "doing": "running a turn",
            },
        ),
        credential={"mode": "chatgpt", "state": "FRESH", "time_left": 3120.0},
    )
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(*overview_page(view(sight(busy)), COLUMNS), sep="\n", soft_wrap=True)
    return console.export_svg(title="greenroom status", unique_id="status", code_format=FORM)


if __name__ == "__main__":
    sys.exit(GeneratedPage(PICTURE).replace(picture(), sys.argv[1:]))
