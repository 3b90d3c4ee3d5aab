"""One host for each Codex home: a lock in the home, which the kernel releases when its holder ends.

The file says who holds it. It is never removed, because another process may have opened it already.
"""

import os
from dataclasses import dataclass
from typing import Final

import msgspec

from greenroom.protocol.errors import StartError
from greenroom.protocol.version import __version__
from greenroom.runtime.files import filelock

NAME: Final = ".greenroom-host.lock"
_MOST: Final = 4096


class HomeHasHostError(StartError):
    """Another host serves the home."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The host of a home, as it has written itself into the lock."""

    pid: int
    version: str
    socket: str
    """Path of its socket."""


class HostLock:
    """The lock of one home, held until it is closed."""

    def __init__(self, descriptor: int) -> None:
        """Take over an open file that is locked already."""
        self.descriptor = descriptor

    @classmethod
    def acquire(cls, home: str) -> "HostLock":
        """Lock a home, which is created where it is missing. Raises `HomeHasHostError` and `StartError`."""
        path = os.path.join(home, NAME)
        try:
            os.makedirs(home, mode=0o700, exist_ok=True)
            descriptor = filelock.open_lock(path)
        except OSError as error:
            raise StartError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            is_free = filelock.try_lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise StartError(f"{path} cannot be locked, so that a second host could not be told: {error}") from error
        if not is_free:
            text = _described(_read(descriptor))
            os.close(descriptor)
            raise HomeHasHostError(f"{home} has a host already: {text}")
        return cls(descriptor)

    @staticmethod
    def holder(home: str) -> Holder | None:
        """Return the host of a home as it has written itself; `None` where it has not yet."""
        try:
            with filelock.opened(os.path.join(home, NAME)) as descriptor:
                return _read(descriptor)
        except OSError:
            return None

    @property
    def is_held(self) -> bool:
        """Whether it has not been closed."""
        return self.descriptor >= 0

    def write(self, socket_path: str) -> None:
        """Say that this process holds the lock."""
        holder = msgspec.json.encode(Holder(os.getpid(), __version__, socket_path))
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, holder, 0)

    def close(self) -> None:
        """Release the lock, unless another process has been given the open file."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _read(descriptor: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(descriptor, _MOST, 0), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _described(holder: Holder | None) -> str:
    if holder is None:
        return "one that is just starting"
    return f"pid {holder.pid}, greenroom {holder.version}, at {holder.socket}"
