"""What a job is given besides its parameters, and how it fails."""

import asyncio
from dataclasses import dataclass, field

from greenroom.protocol.errors import GreenroomError


class JobError(GreenroomError):
    """The job came to nothing; the text says why, in words that clients are told."""


@dataclass(frozen=True, slots=True)
class GitLimits:
    """How much of git a job puts up with."""

    seconds: float = 5.0
    """For one call."""
    start_seconds: float = 5.0
    """Until it has to run."""
    largest: int = 64 * 1024 * 1024
    """Bytes that one call may write, or that one diff may have."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The surroundings of one job."""

    home: str
    """The Codex home."""
    runtime_directory: str
    """Holds our sockets."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the job is to end with what it has."""
    git: GitLimits = GitLimits()
