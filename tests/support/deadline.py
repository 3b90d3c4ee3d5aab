"""Waiting for something that nobody announces."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")

PAUSE = 0.005
"""Seconds between the first two looks."""
LONGEST_PAUSE = 0.05
"""Seconds between two looks at most, where a look takes no longer."""
SHARE = 0.1
"""Of the time waited so far, a pause: a look may cost much time of others, and there is time for few of them in a long
wait."""


def until(look: Callable[[], T | Literal[False] | None], within: float = 10.0) -> T:
    """Look until what is found is true, and return it. Fails after so many seconds.

    Half of the time at most goes into looking, as what is waited for may need the processor.
    """
    begun = asked = time.monotonic()
    while not (found := look()):
        answered = time.monotonic()
        assert answered - begun < within, f"{look} found nothing in {within} s"
        pause = min((answered - begun) * SHARE, LONGEST_PAUSE)
        time.sleep(max(PAUSE, pause, answered - asked))
        asked = time.monotonic()
    return found
