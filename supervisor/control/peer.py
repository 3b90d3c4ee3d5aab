"""The peer of a connection to the control socket, and whether it is admitted.

Only processes of this user are, and none that this instance has started: a command of the model must not end another
conversation. That holds for commands without a sandbox; those in one cannot open such a socket in the first place.
"""

import os
import socket
import struct
import sys
from typing import Final, NamedTuple

from greenroom.runtime.process import identity

_LINUX_FORM: Final = "3i"
"""struct ucred: pid, uid, gid (unix(7), SO_PEERCRED)."""
_XUCRED_FORM: Final = "2I"
"""The beginning of struct xucred: version, uid (sys/ucred.h of macOS, LOCAL_PEERCRED)."""
_SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID = 0, 1, 2

OUTSIDE: Final = 0
"""The pid that the kernel reports of a process outside this pid namespace."""


class PeerCredentials(NamedTuple):
    """The process that opened a connection."""

    pid: int
    uid: int


def peer_of(connection: socket.socket) -> PeerCredentials:
    """Return the process that connected, as the kernel recorded it then. Raises `OSError`."""
    if sys.platform == "darwin":
        xucred = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 128)
        _, uid = struct.unpack_from(_XUCRED_FORM, xucred)
        return PeerCredentials(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID), uid)
    pid, uid, _ = struct.unpack(_LINUX_FORM, connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return PeerCredentials(pid, uid)


def peer_refusal(peer: PeerCredentials) -> str | None:
    """Return why a peer is refused, `None` where it is admitted."""
    if peer.uid != os.getuid():
        return "this instance belongs to another user"
    if peer.pid == OUTSIDE or peer.pid == os.getpid():
        return None
    line = list(identity.ancestors(peer.pid))
    if os.getpid() in line:
        return "what an instance has started itself may not ask it or order it about"
    return None if line[-1] == 0 else "the process that asks has ended"
