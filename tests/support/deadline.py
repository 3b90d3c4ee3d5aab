"""Waiting for something that nobody announces."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")

PAUSE = 0.005
"""Seconds between the first two looks."""
LONGEST_PAUSE = 0.05
"""Seconds between two looks at most."""
SHARE = 0.1
"""Of the time waited so far, a pause: a look may cost much time of others, and there is time for few of them in a long
wait."""


def until(look: Callable[[], T | Literal[False] | None], within: float = 10.0) -> T:
    """Look until what is found is true, and return it. Fails after so many seconds."""
    begun = time.monotonic()
    while not (found := look()):
        waited = time.monotonic() - begun
        assert waited < within, f"{look} found nothing in {within} s"
        time.sleep(min(max(PAUSE, waited * SHARE), LONGEST_PAUSE))
    return found
