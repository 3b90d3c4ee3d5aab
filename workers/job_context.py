"""What a job is given besides its parameters, and how it fails."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from greenroom.protocol.errors import GreenroomError
from greenroom.workers.model.credentials.channel import CredentialsChannel


class JobError(GreenroomError):
    """The job came to nothing; the text says why, in words that clients are told."""


class GitLimits(msgspec.Struct, frozen=True):
    """How much of git a job puts up with."""

    seconds: float = 5.0
    """For one call."""
    start_seconds: float = 5.0
    """Until it has to run."""
    largest: int = 64 * 1024 * 1024
    """Bytes that one call may write, or that one diff may have."""


async def _at_once() -> None:
    """Return: nobody is waited for."""


def _no_broker() -> CredentialsChannel:
    raise JobError("there is no auth broker")


class JobChannel(msgspec.Struct, frozen=True):
    """What a job that goes on for a while tells its client meanwhile, and what it is told."""

    report: Callable[[bytes], object] = lambda _: None
    """Sends a JSON object. Follow with `drain` where many are sent."""
    drain: Callable[[], Awaitable[None]] = _at_once
    """Waits while too much waits for the client."""
    told: "asyncio.Queue[bytes]" = msgspec.field(default_factory=asyncio.Queue)
    """JSON objects."""


class Setting(msgspec.Struct, frozen=True):
    """The surroundings of one job."""

    home: str
    """The Codex home."""
    runtime_directory: str
    """Holds the sockets of the instance."""
    config_overrides: tuple[str, ...] = ()
    """The assignments of `-c` with which the server was started."""
    stopped: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """Set when the job is to end with what it has."""
    git: GitLimits = GitLimits()
    channel: JobChannel = msgspec.field(default_factory=JobChannel)
    open_credentials: Callable[[], CredentialsChannel] = _no_broker
    """Opens the line to the auth broker; to be started before the first question."""
