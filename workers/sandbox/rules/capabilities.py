"""The capabilities that a confined command of root keeps: those over files and accounts, not over the machine."""

import os
import struct
from typing import Final

from greenroom.workers.sandbox.system import kernel
from greenroom.workers.sandbox.system.syscalls import Architecture

KEPT: Final = {
    "chown": 0,
    "dac_override": 1,
    "fowner": 3,
    "fsetid": 4,
    "kill": 5,
    "setgid": 6,
    "setuid": 7,
    "net_bind_service": 10,
}
"""By their numbers in linux/capability.h. Everyday programs of root need all of these."""

_MASK: Final = sum(1 << number for number in KEPT.values())
_VERSION_3: Final = 0x20080522
_SETS: Final = "=6I"
"""Effective, permitted, inheritable: the lower halves, then the upper."""


def reduce(architecture: Architecture) -> None:
    """Drop all but the kept ones. With `no_new_privs` no exec restores them. Raises `OSError`."""
    if os.geteuid() == 0:
        _, permitted, *_ = _get(architecture)
        kept = permitted & _MASK
        _set(architecture, struct.pack(_SETS, kept, kept, 0, 0, 0, 0))


def _header() -> bytearray:
    return bytearray(struct.pack("=Ii", _VERSION_3, 0))


def _get(architecture: Architecture) -> tuple[int, ...]:
    sets = bytearray(struct.calcsize(_SETS))
    kernel.syscall("capget", _number(architecture, "capget"), _header(), sets)
    return struct.unpack(_SETS, sets)


def _set(architecture: Architecture, sets: bytes) -> None:
    kernel.syscall("capset", _number(architecture, "capset"), _header(), sets)


def _number(architecture: Architecture, call: str) -> int:
    number = architecture.number(call)
    assert number is not None
    return number
