"""`greenroom completion`: prints a completion script of the command line for a shell."""

import sys
from collections.abc import Callable, Mapping
from typing import Final

from greenroom.supervisor.cli.reference import bash, fish, zsh
from greenroom.supervisor.cli.reference.command_table import Command

PROGRAM: Final = "greenroom"
SCRIPTS: Final[Mapping[str, Callable[[str, Command], str]]] = {
    "bash": bash.script,
    "fish": fish.script,
    "zsh": zsh.script,
}


def run(shell: str, table: Command) -> int:
    """Print the script for a shell."""
    sys.stdout.write(SCRIPTS[shell](PROGRAM, table))
    return 0
