"""The instances of this user, found by the facts that each leaves beside its sockets; and the remains of dead ones.

A directory belongs to a live instance where the process that its facts name exists and was created at the time that
they state. Facts are written after the control socket listens, so a socket that accepts connections is a sign of life
too: the process may live in another pid namespace, as in a container that shares the directory.
"""

import contextlib
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from greenroom.protocol.choices import EngineName
from greenroom.protocol.instance import Instance
from greenroom.protocol.version import __version__
from greenroom.runtime.process import identity
from greenroom.runtime.sockets import host_socket

FACTS: Final = "instance.json"
CONTROL: Final = "control"
"""The socket that a supervisor answers on."""
MAX_FACTS: Final = 64 * 1024
INFANCY: Final = 60.0
"""Seconds that an instance has to write its facts before its directory, if no process has its pid, counts as stale."""

_NAME: Final = re.compile(r"(\d+)-\w+")

parents: Final = host_socket.parents
"""Returns where instances of this user have their directories (`greenroom.runtime.files.directory`)."""


class RunningInstance(msgspec.Struct, frozen=True):
    """A running instance."""

    directory: str
    instance: Instance
    seen_at: float
    """Its last sign of life, in seconds since the epoch (`greenroom.supervisor.control.control.BEAT`)."""

    @property
    def control(self) -> str:
        """Path of its control socket."""
        return os.path.join(self.directory, CONTROL)


def this_instance(codex_home: str, engine: EngineName) -> Instance:
    """Return the facts of the instance whose supervisor this process is."""
    pid = os.getpid()
    home = codex_home.encode("utf-8", "replace").decode()
    return Instance(pid, identity.created(pid) or "", __version__, home, engine, time.time())


def write(directory: str, instance: Instance) -> None:
    """Write the facts to a directory, atomically."""
    path = os.path.join(directory, FACTS)
    fresh = f"{path}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.json.encode(instance))
    os.replace(fresh, path)


def running(where: Iterable[str]) -> list[RunningInstance]:
    """Return the instances that run, oldest first."""
    found = (_found(directory) for directory in _directories(where))
    living = [one for one in found if one is not None and _lives(one.directory, one.instance)]
    return sorted(living, key=lambda one: one.instance.started_at)


def remove_stale(where: Iterable[str]) -> list[str]:
    """Remove the directories that dead instances left behind, and return their paths."""
    stale = [directory for directory in _directories(where) if _is_stale(directory)]
    for directory in stale:
        shutil.rmtree(directory, ignore_errors=True)
    return stale


def _directories(where: Iterable[str]) -> Iterator[str]:
    """Yield what may be directories of instances: of this user alone, and no links."""
    for parent in dict.fromkeys(map(os.path.realpath, where)):
        if not _is_private(parent):
            continue
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(parent)):
                directory = os.path.join(parent, name)
                if _NAME.fullmatch(name) and _is_private(directory):
                    yield directory


def _is_private(path: str) -> bool:
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o077


def _found(directory: str) -> RunningInstance | None:
    try:
        with open(os.path.join(directory, FACTS), "rb") as file:
            data, seen_at = file.read(MAX_FACTS), os.fstat(file.fileno()).st_mtime
        return RunningInstance(directory, msgspec.json.decode(data, type=Instance), seen_at)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _lives(directory: str, instance: Instance) -> bool:
    return identity.created(instance.pid) == instance.created or _listens(os.path.join(directory, CONTROL))


def _is_stale(directory: str) -> bool:
    found = _found(directory)
    if found is not None:
        return not _lives(directory, found.instance)
    named = _NAME.fullmatch(os.path.basename(directory))
    return named is not None and identity.created(int(named[1])) is None and _age(directory) > INFANCY


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:  # it listens, with a full queue
            return True
        except OSError:
            return False
        return True


def _age(directory: str) -> float:
    try:
        return time.time() - os.lstat(directory).st_mtime
    except OSError:
        return 0.0
