"""Waiting for something that nobody announces."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")

PAUSE = 0.005
"""Seconds between two looks."""


def until(look: Callable[[], T | Literal[False] | None], within: float = 10.0) -> T:
    """Look until what is found is true, and return it. Fails after so many seconds."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, f"{look} found nothing in {within} s"
        time.sleep(PAUSE)
    return found
