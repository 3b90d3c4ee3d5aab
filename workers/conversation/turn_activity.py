"""What a running turn does at the moment, for heartbeats and progress notifications."""

from typing import Final

import msgspec

COMPACTING: Final = "making room in the model's context"
"""The text while a summary is made."""


class TurnActivity(msgspec.Struct):
    """Written by the parts of one turn, read by its worker."""

    doing: str = "starting"
    """Text for people."""
    runs_tool: bool = False
    """Whether a tool call of the model runs."""
    heard_at: float | None = None
    """Time of the model's first event, in seconds since the epoch."""
