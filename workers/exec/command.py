"""A command as a value: a program with its arguments, its directory, and its limits."""

from collections.abc import Mapping
from typing import Final

import msgspec

CAPTURE_SIZE: Final = 64 * 1024
"""Bytes kept of each output by default."""
TERMINAL_SIZE: Final = (24, 80)
"""Rows and columns of a terminal by default."""


class CommandSpec(msgspec.Struct, frozen=True):
    """What to run, and where."""

    argv: tuple[str, ...]
    """The program is looked up in the `PATH` of `environment`."""
    cwd: str
    """Absolute."""
    environment: Mapping[str, str]
    """All of it: nothing is inherited."""
    timeout: float
    """Seconds; infinity for no limit."""
    capture_size: int = CAPTURE_SIZE
    """Bytes kept of each of the three outputs."""
    terminal: bool = False
    """Whether its input and output are a terminal, which then controls it."""
    terminal_size: tuple[int, int] = TERMINAL_SIZE
    """Rows and columns of the terminal at first."""
    reads_input: bool = False
    """Whether its input is a pipe, where it has no terminal; else its input is empty."""
