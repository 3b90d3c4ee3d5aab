"""Waits for a condition by polling."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.005
"""Seconds between two checks."""


def until(look: Callable[[], T], within: float = 10.0) -> T:
    """Poll until the value is true, and return it. Fails after this many seconds."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, f"{look} found nothing in {within} s"
        time.sleep(PAUSE)
    return found
