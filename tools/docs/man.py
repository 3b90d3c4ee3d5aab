"""Writes the manual pages below packaging/man from the table of commands.

`make docs` writes them. `python tools/docs/man.py --check` only tells whether they are up to date, by its exit status.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from greenroom.protocol.version import __version__
from greenroom.supervisor.cli.command_line import command_table
from greenroom.supervisor.cli.reference.completion import PROGRAM
from greenroom.supervisor.cli.reference.man_page import pages

FOLDER: Final = Path(__file__).parents[2] / "packaging" / "man" / "man1"


def write(arguments: Sequence[str]) -> int:
    """Write all pages and return 0; with `--check` only return 1 where one differs, is missing or is left over."""
    wanted = pages(PROGRAM, __version__, command_table())
    there = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.1")}
    if "--check" in arguments:
        if wanted != there:
            sys.stderr.write("packaging/man does not say what the commands say; run: make docs\n")
        return int(wanted != there)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(write(sys.argv[1:]))
