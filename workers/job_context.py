"""What a job is given besides its parameters, and how it fails."""

import asyncio
from collections.abc import Awaitable, Callable
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


async def _at_once() -> None:
    """Return: nobody is waited for."""


@dataclass(frozen=True, slots=True)
class JobChannel:
    """What a job that goes on for a while tells its client meanwhile, and what it is told."""

    report: Callable[[bytes], object] = lambda _: None
    """Sends a JSON object. Follow with `drain` where many are sent."""
    drain: Callable[[], Awaitable[None]] = _at_once
    """Waits while too much waits for the client."""
    told: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    """JSON objects."""


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
    channel: JobChannel = field(default_factory=JobChannel)
