"""The rules of Landlock: which files, ports, sockets and processes a command can access (landlock(7)).

A right that is granted on a directory is valid for all that lies below it, under whatever name it is reached, and
cannot be revoked further down. Without a right access is refused.
"""

import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from greenroom.workers.sandbox.system import kernel
from greenroom.workers.sandbox.system.syscalls import COMMON

_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1


class FileRight(IntFlag):
    """Rights on files and directories."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


class NetRight(IntFlag):
    """Rights on TCP ports."""

    BIND_TCP = 1 << 0
    CONNECT_TCP = 1 << 1


class Scope(IntFlag):
    """What cannot be reached across the border of the sandbox."""

    ABSTRACT_UNIX_SOCKET = 1 << 0
    SIGNAL = 1 << 1


_FIRST_RIGHTS: Final = FileRight((1 << 13) - 1)

SINCE: Final[dict[int, FileRight | NetRight | Scope]] = {
    1: _FIRST_RIGHTS,
    2: FileRight.REFER,
    3: FileRight.TRUNCATE,
    4: NetRight.BIND_TCP | NetRight.CONNECT_TCP,
    5: FileRight.IOCTL_DEV,
    6: Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL,
}
"""What each version of the interface added. Version 7 added only flags for the audit log."""

READ: Final = FileRight.READ_FILE | FileRight.EXECUTE
WRITE: Final = (
    FileRight.WRITE_FILE
    | FileRight.REMOVE_DIR
    | FileRight.REMOVE_FILE
    | FileRight.MAKE_DIR
    | FileRight.MAKE_REG
    | FileRight.MAKE_SOCK
    | FileRight.MAKE_FIFO
    | FileRight.MAKE_SYM
    | FileRight.REFER
    | FileRight.TRUNCATE
)
"""All rights that change a tree, except making device nodes."""
DEVICE: Final = FileRight.READ_FILE | FileRight.WRITE_FILE | FileRight.IOCTL_DEV
_ON_FILES: Final = READ | FileRight.WRITE_FILE | FileRight.TRUNCATE | FileRight.IOCTL_DEV


@dataclass(frozen=True, slots=True)
class PathGrant:
    """Rights on places and all that lies below them."""

    rights: FileRight
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Handled:
    """All that one version of the interface can refuse."""

    files: FileRight
    net: NetRight
    scope: Scope

    @classmethod
    def by(cls, abi: int) -> "Handled":
        """Return what version `abi` can refuse."""
        files, net, scope = FileRight(0), NetRight(0), Scope(0)
        for version, rights in SINCE.items():
            if version > abi:
                continue
            match rights:
                case FileRight():
                    files |= rights
                case NetRight():
                    net |= rights
                case Scope():
                    scope |= rights
        return cls(files, net, scope)

    def attributes(self) -> bytes:
        """Encode as `struct landlock_ruleset_attr`, no longer than a kernel of that version knows."""
        words = (self.files, self.net, self.scope)
        known = 3 if self.scope else 2 if self.net else 1
        return struct.pack(f"={known}Q", *words[:known])


def abi() -> int:
    """Return the version of the interface that this kernel offers; 0 where it has none, or does not permit it."""
    try:
        return kernel.syscall("landlock", COMMON["landlock_create_ruleset"], None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def make_rules(version: int, grants: Iterable[PathGrant], *, network: bool) -> int:
    """Return a descriptor of a set of rules, which the caller closes. Raises `OSError`.

    Places that are missing, or that have become links, are left out. With `network`, TCP is not restricted.
    """
    handled = Handled.by(version)
    if network:
        handled = Handled(handled.files, NetRight(0), handled.scope)
    ruleset = _create(handled)
    try:
        for grant in grants:
            _allow(ruleset, grant, handled.files)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def enforce(ruleset: int) -> None:
    """Put this process and its descendants under rules, permanently. Needs `no_new_privs`. Raises `OSError`."""
    kernel.syscall("landlock_restrict_self", COMMON["landlock_restrict_self"], ruleset, 0)


def _create(handled: Handled) -> int:
    data = handled.attributes()
    return kernel.syscall("landlock_create_ruleset", COMMON["landlock_create_ruleset"], data, len(data), 0)


def _allow(ruleset: int, grant: PathGrant, handled: FileRight) -> None:
    rights = int(grant.rights & handled)
    rights_on_files = int(grant.rights & handled & _ON_FILES)
    # where a link could be planted, the components above are checked too
    find = kernel.open_path if grant.rights & WRITE else _open
    for path in grant.paths:
        try:
            place = find(path)
        except OSError as error:
            if error.errno in kernel.MISSING:
                continue
            raise
        fitting = rights if rights == rights_on_files or _is_directory(place) else rights_on_files
        rule = struct.pack("=Qi", fitting, place)
        try:
            kernel.syscall("landlock_add_rule", COMMON["landlock_add_rule"], ruleset, _PATH_BENEATH, rule, 0)
        finally:
            os.close(place)


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)


def _is_directory(place: int) -> bool:
    return stat.S_ISDIR(os.fstat(place).st_mode)
