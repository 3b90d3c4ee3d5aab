"""Delays tool execution while many workers are starting.

Waiting for the model takes longer than anything else. So when the CPU is short, conversations that have not asked their
model yet come before those that have its answer: the wait of the former then overlaps with the work of the latter.
"""

import asyncio
from typing import Final

from greenroom.runtime import startup_load as rush

TIMEOUT: Final = 0.5
"""Maximum seconds of one delay."""
_LOOK: Final = 0.025
"""Seconds between two checks."""


async def let_others_begin() -> None:
    """Return when no rush is in progress, or when the maximum delay is over."""
    left = TIMEOUT
    while left > 0 and rush.is_on():
        await asyncio.sleep(_LOOK)
        left -= _LOOK
