"""The time of day in the form of events."""

import time


def now_ms() -> int:
    """Return the milliseconds since the epoch."""
    return round(time.time() * 1000)
