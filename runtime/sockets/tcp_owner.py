"""The user at the other end of a TCP connection within this machine, as Linux tells it in /proc/net (proc(5))."""

import socket
import struct
import sys
from collections.abc import Iterable
from typing import Final

_TABLES: Final = {socket.AF_INET: "/proc/net/tcp", socket.AF_INET6: "/proc/net/tcp6"}
_LOCAL, _REMOTE, _UID = 1, 2, 7
"""Columns of these tables."""


def owner_of_peer(connection: socket.socket) -> int | None:
    """Return the id of the user whose process has connected; `None` where the system does not tell."""
    table = _TABLES.get(connection.family)
    if table is None:
        return None
    try:
        with open(table, encoding="ascii") as lines:
            return find_owner(lines, connection.getpeername(), connection.getsockname(), connection.family)
    except OSError:
        return None


def find_owner(lines: Iterable[str], local: tuple[object, ...], remote: tuple[object, ...], family: int) -> int | None:
    """Return the user of the socket with these addresses, from the lines of a table."""
    wanted = [_place(local, family), _place(remote, family)]
    for line in lines:
        cells = line.split(maxsplit=_UID + 1)
        if cells[_LOCAL : _REMOTE + 1] == wanted:
            return int(cells[_UID])
    return None


def _place(address: tuple[object, ...], family: int) -> str:
    """Return an address as the tables have it: words of 32 bits in the order of this machine's bytes, and the port."""
    packed = socket.inet_pton(family, str(address[0]).partition("%")[0])
    words = struct.unpack(f"{'<' if sys.byteorder == 'little' else '>'}{len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{int(str(address[1])):04X}"
