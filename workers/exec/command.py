"""A command as a value: a program with its arguments, its directory, and its limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

CAPTURE_SIZE: Final = 64 * 1024
"""Bytes kept of each output by default."""


@dataclass(frozen=True, slots=True)
class CommandSpec:
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
    """Whether its input and output are a terminal, which then controls it; else its input is empty."""
