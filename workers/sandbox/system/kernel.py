"""System calls that Python does not offer, each raising `OSError` with the name of the call."""

import ctypes
import errno
import functools
import os
import struct
from typing import Final, TypeAlias

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000

_OPENAT2: Final = 437
_RESOLVE_NO_SYMLINKS: Final = 0x04
_PLACE: Final = struct.pack("=QQQ", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, 0, _RESOLVE_NO_SYMLINKS)
_INT_MAX: Final = 0x7FFFFFFF

SyscallArgument: TypeAlias = int | bytes | bytearray | None
"""A number, memory to read, memory to read and write, or a null pointer."""


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def syscall(name: str, number: int, *arguments: SyscallArgument) -> int:
    """Make a system call by its number."""
    return _checked(name, _libc().syscall(number, *map(_foreign, arguments)))


def prctl(option: int, argument: int) -> None:
    """Set a property of this process (prctl(2)). Options that take one argument."""
    unused = ctypes.c_ulong(0)
    _checked("prctl", _libc().prctl(option, ctypes.c_ulong(argument), unused, unused, unused))


def unshare(flags: int) -> None:
    """Leave namespaces (unshare(2))."""
    _checked("unshare", _libc().unshare(flags))


def mount(kind: str, target: str, flags: int, options: str) -> None:
    """Mount a new file system of a kind that needs no device (mount(2))."""
    _checked("mount", _libc().mount(kind.encode(), os.fsencode(target), kind.encode(), flags, options.encode()))


def open_path(path: str) -> int:
    """Open a path, a link as such. Raises `OSError` (`ELOOP`) if it contains a symbolic link (openat2(2))."""
    try:
        return syscall("openat2", _OPENAT2, AT_FDCWD, os.fsencode(path), _PLACE, len(_PLACE))
    except OSError as error:
        error.filename = path
        raise


def _foreign(value: SyscallArgument) -> object:
    if isinstance(value, int):
        return value if 0 <= value <= _INT_MAX else ctypes.c_long(value)
    return (ctypes.c_char * len(value)).from_buffer(value) if isinstance(value, bytearray) else value


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


MISSING: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES})
"""Errors that mean that a path does not exist, or is not accessible."""
