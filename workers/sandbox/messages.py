"""The messages between a launcher and the monitors of its commands.

Both ends are one program, before and after a fork, so the messages are pickled.
"""

import fcntl
import os
import pickle
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from greenroom.workers.sandbox.confinement import Confinement

LONGEST: Final = 65536
"""Largest size of a message in bytes. A request, which can be larger, is in a memory file."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """The monitor of a running command."""

    pid: int
    started: bytes
    """When it was started, as `processes.start_time` tells it: another process with its pid was started later."""


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """What to run, and how."""

    argv: tuple[str, ...]
    cwd: str
    environment: dict[str, str]
    confinement: Confinement | None
    terminal: bool
    siblings: tuple[Monitor, ...] = ()
    """Those of commands of the same conversation, with the same confinement, that run already."""


@dataclass(frozen=True, slots=True)
class MonitorAssigned:
    """The zygote has given the request to a monitor."""

    monitor: int
    """The pid of the monitor, which is alive as long as its end of the channel is open."""


@dataclass(frozen=True, slots=True)
class Started:
    """The program runs."""

    pid: int
    limits: tuple[str, ...]
    """Protections that the sandbox of this command does not provide, or only at a cost."""


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
    """Largest resident memory of its lifetime, in bytes."""


@dataclass(frozen=True, slots=True)
class Deserted:
    """The command and all its descendants have ended."""


@dataclass(frozen=True, slots=True)
class Send:
    """Launcher to monitor: send a signal to the command's process group."""

    signal: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Launcher to monitor: kill the command and all its descendants."""


MonitorReport: TypeAlias = MonitorAssigned | Started | StartFailed | CommandEnded | Deserted
Order: TypeAlias = Send | Kill


def encode_message(message: SandboxRequest | MonitorReport | Order) -> bytes:
    """Make a message's bytes."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def content(file: int) -> bytes:
    """Return all that is in a file, whatever its position."""
    return os.pread(file, os.fstat(file).st_size, 0)


def claim(file: int) -> bool:
    """Mark a request as begun; `False` where it was withdrawn and must not be carried out."""
    try:
        os.pwrite(file, _BEGUN, os.fstat(file).st_size)
    except PermissionError:  # sealed
        return False
    return True


def withdraw(file: int, length: int) -> bool:
    """Withdraw a request of `length` bytes. Return whether it has not begun, and then never will.

    The kernel orders the seal and the write of `claim`, so that of the two exactly one succeeds.
    """
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return os.fstat(file).st_size == length


_BEGUN: Final = b"!"
"""What `claim` appends; a pickle ends before it."""


def decode_request(data: bytes) -> SandboxRequest:
    """Decode a request of a launcher."""
    request = pickle.loads(data)
    assert isinstance(request, SandboxRequest)
    return request


def decode_report(data: bytes) -> MonitorReport:
    """Decode a report of a monitor."""
    report = pickle.loads(data)
    assert isinstance(report, MonitorReport)
    return report


def decode_order(data: bytes) -> Order:
    """Decode an order of a launcher."""
    order = pickle.loads(data)
    assert isinstance(order, Order)
    return order
