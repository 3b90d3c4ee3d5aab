"""The surroundings of a job, and its error."""

import asyncio
from dataclasses import dataclass, field

from greenroom.protocol.errors import GreenroomError


class JobError(GreenroomError):
    """The job failed; clients are shown the text."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The surroundings of one job."""

    home: str
    """The Codex home."""
    runtime_directory: str
    """The directory of the instance's sockets."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the job is to end with the results so far."""
