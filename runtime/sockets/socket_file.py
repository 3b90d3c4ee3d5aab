"""Unix sockets at paths: opened where nothing else stands, and removed only by the process that has opened them."""

import os
import socket
import stat
from contextlib import suppress
from typing import Final, TypeAlias

from greenroom.protocol.errors import StartError

SocketFileIdentity: TypeAlias = tuple[int, int]
"""Device and inode of a file."""
BACKLOG: Final = 512


def open_socket(path: str, mode: int = 0o600) -> socket.socket:
    """Return a socket that listens at a path. Raises `StartError`, also where another program listens there.

    The socket of a program that is gone gives way; any other file does not.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = f"{path}.{os.getpid()}"
    try:
        _require_free(path)
        listening.bind(fresh)
        os.chmod(fresh, mode)
        listening.listen(BACKLOG)
        os.rename(fresh, path)
    except OSError as error:
        listening.close()
        with suppress(OSError):
            os.unlink(fresh)
        raise StartError(f"the socket {path} cannot be opened: {error.strerror or error}") from error
    except StartError:
        listening.close()
        raise
    return listening


def identity(path: str) -> SocketFileIdentity | None:
    """Return what tells the file at a path from another one that is put there later; `None` where there is none."""
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def remove_socket(path: str, own: SocketFileIdentity | None) -> None:
    """Remove a socket, unless another one is in its place by now."""
    if own is not None and identity(path) == own:
        with suppress(OSError):
            os.unlink(path)


def _require_free(path: str) -> None:
    """Raise `StartError` where something stands at a path that is not the socket of a program that is gone."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartError(f"{path} is in the way: it is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:  # it listens, and many wait there
            pass
        except ConnectionRefusedError:  # its program is gone
            return
        except OSError as error:
            raise StartError(f"{path} is in the way: {error.strerror or error}") from error
    raise StartError(f"another program listens at {path}")
