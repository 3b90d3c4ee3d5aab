"""What a launcher and the guardians of its commands say to each other.

Both ends are one program, before and after a fork, so the messages are pickled.
"""

import fcntl
import os
import pickle
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from greenroom.workers.sandbox.confinement import Confinement

LONGEST: Final = 65536
"""Bytes that a message has at most. A request, which can be longer, lies in a file in memory."""


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """What is to be run, and how."""

    argv: tuple[str, ...]
    cwd: str
    environment: dict[str, str]
    confinement: Confinement | None
    terminal: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """The zygote has given the request to a guardian."""

    guardian: int
    """The pid of the guardian, which is alive as long as its end of the channel is open."""


@dataclass(frozen=True, slots=True)
class Started:
    """The program runs."""

    pid: int
    limits: tuple[str, ...]
    """What the sandbox of this command does not hold, or holds at a price."""


@dataclass(frozen=True, slots=True)
class StartFailed:
    """Nothing runs."""

    obstacle: Literal["sandbox", "directory", "program"]
    number: int | None
    """The error's number where the system refused."""
    text: str


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """The command itself has ended."""

    pid: int
    returncode: int
    """The exit status, or minus the number of the signal."""
    max_rss: int
    """Largest resident memory of its life, in bytes."""


@dataclass(frozen=True, slots=True)
class Deserted:
    """The command has ended, and so has everything that it started."""


@dataclass(frozen=True, slots=True)
class Send:
    """Launcher to guardian: send a signal to the command's process group."""

    signal: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Launcher to guardian: end the command and everything that it started."""


Report: TypeAlias = Taken | Started | StartFailed | CommandEnded | Deserted
Order: TypeAlias = Send | Kill


def encode(message: SandboxRequest | Report | Order) -> bytes:
    """Make a message's bytes."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def content(file: int) -> bytes:
    """Return all that is in a file, whoever has read it before."""
    return os.pread(file, os.fstat(file).st_size, 0)


def claim(file: int) -> bool:
    """Mark a request as begun; `False` where it was withdrawn, so that it must not be carried out."""
    try:
        os.pwrite(file, _BEGUN, os.fstat(file).st_size)
    except PermissionError:  # sealed
        return False
    return True


def withdraw(file: int, length: int) -> bool:
    """Take a request of `length` bytes back. Return whether it has not been begun, and then never will be.

    The kernel orders the seal and the write of `claim`, so that of the two exactly one succeeds.
    """
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return os.fstat(file).st_size == length


_BEGUN: Final = b"!"
"""What `claim` appends; a pickle ends before it."""


def read_request(data: bytes) -> SandboxRequest:
    """Read what a launcher asks for."""
    request = pickle.loads(data)
    assert isinstance(request, SandboxRequest)
    return request


def read_report(data: bytes) -> Report:
    """Read what a guardian says."""
    report = pickle.loads(data)
    assert isinstance(report, Report)
    return report


def read_order(data: bytes) -> Order:
    """Read what a launcher wants of a guardian."""
    order = pickle.loads(data)
    assert isinstance(order, Order)
    return order
