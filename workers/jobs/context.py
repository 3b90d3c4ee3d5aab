"""What a job is given besides its parameters, and how it fails."""

import asyncio
from dataclasses import dataclass, field

from greenroom.protocol.errors import GreenroomError


class JobError(GreenroomError):
    """The job came to nothing; the text says why, in words that clients are told."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The surroundings of one job."""

    home: str
    """The Codex home."""
    runtime_directory: str
    """Holds our sockets."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the job is to end with what it has."""
