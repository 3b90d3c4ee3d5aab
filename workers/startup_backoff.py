"""What a conversation does for those that are just beginning.

The model takes longer than anything else. So where the cores are short, a conversation that has yet to ask its model
comes before one that has its answer already: the first one's wait then passes while the second one works.
"""

import asyncio
from typing import Final

from greenroom.runtime import startup_load as rush

TIMEOUT: Final = 0.5
"""Seconds that a conversation gives others at a time, at most."""
_LOOK: Final = 0.025
"""Seconds between two looks at whether they have begun."""


async def let_others_begin() -> None:
    """Return when no rush is on, or when it has lasted too long to wait for."""
    left = TIMEOUT
    while left > 0 and rush.is_on():
        await asyncio.sleep(_LOOK)
        left -= _LOOK
