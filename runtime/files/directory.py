"""The private directory for an instance's sockets."""

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping

from greenroom.protocol.errors import StartError

_LONGEST = 80
"""Maximum bytes of the directory's path: a socket's address, with its name, must fit into 108."""


def create(environment: Mapping[str, str]) -> str:
    """Create a fresh directory that only this user can enter, and return its path.

    It is below `XDG_RUNTIME_DIR` if that belongs to the user and is short enough, else below the temporary directory.
    Raises `StartError`.
    """
    return tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent(environment))


def place(environment: Mapping[str, str]) -> str:
    """Return the directory of all instances, which need not exist."""
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    base = runtime if runtime and is_private(runtime) and len(runtime) <= _LONGEST - 30 else "/tmp"
    return os.path.join(base, "greenroom" if base == runtime else f"greenroom-{os.getuid()}")


def parent(environment: Mapping[str, str]) -> str:
    """Return the directory of all instances, created where it is missing. Raises `StartError`."""
    found = place(environment)
    try:
        os.mkdir(found, 0o700)
    except FileExistsError:
        if not is_private(found):
            raise StartError(f"{found} exists and is not a directory of this user alone; remove it") from None
    return found


def remove_directory(path: str) -> None:
    """Remove an instance's directory with its contents."""
    shutil.rmtree(path, ignore_errors=True)


def is_private(path: str) -> bool:
    """Tell whether a path is a directory that only this user can enter."""
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o077
