"""Finds which processes hold the Unix socket that listens on a file (sock_diag(7))."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_REQUEST_DUMP: Final = 0x301
_DONE: Final = 3
_ERROR: Final = 2
_SHOW_VFS: Final = 0x02
_ATTRIBUTE_VFS: Final = 1
_LISTENING: Final = 1 << 10
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBHIIIII")
_MESSAGE: Final = struct.Struct("=BBBBIII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_VFS: Final = struct.Struct("=II")
_LONGEST: Final = 1 << 18
_MINOR_BITS: Final = 20


def listener_on(place: os.stat_result) -> int | None:
    """Return the inode number of the socket that listens on a file, as in `/proc/<pid>/fd`; `None` if none does.

    A file has at most one in its life. Raises `OSError` if the kernel does not tell.
    """
    device = os.major(place.st_dev) << _MINOR_BITS | os.minor(place.st_dev)
    wanted = (place.st_ino & 0xFFFFFFFF, device)
    numbers = [number for number, bound in _listening() if bound == wanted]
    return numbers[0] if len(numbers) == 1 else None  # sock_diag reports only 32 bits of an inode, and two files match


def is_held(number: int, by: set[int]) -> bool:
    """Tell whether one of these processes has the socket with this inode number open."""
    name = f"socket:[{number}]"
    return any(name in _open_by(pid) for pid in by)


def _open_by(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                yield os.readlink(f"/proc/{pid}/fd/{descriptor}")


def _listening() -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield the inode number of each listening socket that has a file, with the file's inode and device."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
        body = _REQUEST.pack(socket.AF_UNIX, 0, 0, _LISTENING, 0, _SHOW_VFS, 0xFFFFFFFF, 0xFFFFFFFF)
        header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
        netlink.sendto(header + body, (0, 0))
        while True:
            data, _, _, sender = netlink.recvmsg(_LONGEST)
            if sender[0] != 0:
                continue
            for kind, message in _split(data):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -int.from_bytes(message[:4], "little", signed=True)
                    raise OSError(number, "the kernel does not tell of Unix sockets")
                if (listener := _read(message)) is not None:
                    yield listener


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        yield kind, data[at + _HEADER.size : at + length]
        at += max(_HEADER.size, length + 3 & ~3)


def _read(message: bytes) -> tuple[int, tuple[int, int]] | None:
    number = _MESSAGE.unpack_from(message)[4]
    at = _MESSAGE.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if kind == _ATTRIBUTE_VFS:
            return number, _VFS.unpack_from(message, at + _ATTRIBUTE.size)
        at += max(_ATTRIBUTE.size, length + 3 & ~3)
    return None
