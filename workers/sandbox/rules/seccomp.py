"""The filter of system calls: what Landlock cannot see. Assembled here, loaded with seccomp(2).

Sockets are stopped at their creation instead of at their use. So inherited sockets continue to work, no call has to be
judged by an address in memory, which a filter cannot read, and a socket pair is unrestricted.
"""

import ctypes
import errno
import functools
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from greenroom.workers.sandbox.system import kernel
from greenroom.workers.sandbox.system.syscalls import Architecture

ALLOW: Final = 0x7FFF0000
KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000
NOTIFY: Final = 0x7FC00000
_NEW_LISTENER: Final = 1 << 3
_WAIT_KILLABLE: Final = 1 << 5
_FILTER_MODE: Final = 1

_LOAD_WORD: Final = 0x20
_AND: Final = 0x54
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER_EQUAL: Final = 0x35
_RETURN: Final = 0x06
_NUMBER_AT: Final = 0
_ARCHITECTURE_AT: Final = 4
_ARGUMENTS_AT: Final = 16
_WHOLE: Final = 0xFFFFFFFF
_INSTRUCTION: Final = "=HBBI"

NAMESPACES: Final = 0x7E020000
"""The flags of clone(2) and unshare(2) that make namespaces."""
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C
_NETLINK: Final = 16
_SOCKET_TYPE: Final = 0xF


@dataclass(frozen=True, slots=True)
class When:
    """A condition on the lower half of an argument: its bits under `mask` are, or are not, `value`."""

    argument: int
    value: int
    equal: bool = True
    mask: int = _WHOLE


@dataclass(frozen=True, slots=True)
class SyscallRule:
    """A call that fails with `error` where all conditions hold, or, without one, is handed over to the monitor."""

    call: str
    when: tuple[When, ...] = ()
    error: int | None = errno.EPERM


Instruction: TypeAlias = tuple[int, int, int, int]
"""Code, jump if true, jump if false, value (struct sock_filter)."""


def _never(*calls: str) -> tuple[SyscallRule, ...]:
    return tuple(SyscallRule(call) for call in calls)


ALWAYS: Final = (
    # other processes
    *_never("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp"),
    SyscallRule("prlimit64", (When(0, 0, equal=False),)),
    # the kernel's wider surface
    *_never("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *_never("keyctl", "add_key", "request_key", "open_by_handle_at", "fanotify_init"),
    # another view of the file system, and the namespaces in which one could be made
    *_never("mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount", "mount_setattr"),
    *_never("fsopen", "fsconfig", "fsmount", "fspick", "setns"),
    SyscallRule("unshare", (When(0, 0, equal=False, mask=NAMESPACES),)),
    SyscallRule("clone", (When(0, 0, equal=False, mask=NAMESPACES),)),
    SyscallRule("clone3", error=errno.ENOSYS),  # its flags lie in memory; the C library falls back to clone
    # input into a terminal for another program to execute
    SyscallRule("ioctl", (When(1, _TIOCSTI),)),
    SyscallRule("ioctl", (When(1, _TIOCLINUX),)),
    # pairs of connected sockets are fine; a datagram socket of a pair could still send to any address
    SyscallRule("socketpair", (When(0, socket.AF_UNIX, equal=False),)),
    SyscallRule(
        "socketpair",
        tuple(When(1, kind, equal=False, mask=_SOCKET_TYPE) for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)),
    ),
)

OFFLINE: Final = _never("socket")

# Behind Unix sockets wait programs outside the sandbox that run things for any program that asks. So each connection
# is made by the monitor, and there are no sockets for datagrams, which need no connection.
ONLINE: Final = (
    SyscallRule(
        "socket",
        tuple(When(0, family, equal=False) for family in (socket.AF_INET, socket.AF_INET6, _NETLINK, socket.AF_UNIX)),
    ),
    SyscallRule(
        "socket",
        (
            When(0, socket.AF_UNIX),
            *(When(1, kind, equal=False, mask=_SOCKET_TYPE) for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)),
        ),
    ),
    SyscallRule("connect", error=None),
    SyscallRule("socket", (When(0, _NETLINK), When(2, 0, equal=False))),
)

# Landlock does not see these (landlock(7), "limitations"); where nothing is writable nothing needs them.
UNALTERED: Final = (
    *_never("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *_never("utime", "utimes", "futimesat", "utimensat", "file_setattr"),
    *_never("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *_never("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
)


def rules(*, network: bool, metadata: bool) -> tuple[SyscallRule, ...]:
    """Return the rules for a command with or without network, and with or without the right to change metadata."""
    return (*ALWAYS, *(ONLINE if network else OFFLINE), *(() if metadata else UNALTERED))


def assemble(architecture: Architecture, chosen: Iterable[SyscallRule]) -> list[Instruction]:
    """Translate rules into a program. Calls without a rule are allowed; a foreign calling convention is fatal."""
    code: list[Instruction] = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, KILL_PROCESS),
        (_LOAD_WORD, 0, 0, _NUMBER_AT),
    ]
    if architecture.foreign_calls_from is not None:
        code += [(_JUMP_GREATER_EQUAL, 0, 1, architecture.foreign_calls_from), (_RETURN, 0, 0, KILL_PROCESS)]
    for rule in chosen:
        number = architecture.number(rule.call)
        if number is not None:
            code += _translate(number, rule)
    return [*code, (_RETURN, 0, 0, ALLOW)]


def _translate(number: int, rule: SyscallRule) -> list[Instruction]:
    verdict = (_RETURN, 0, 0, NOTIFY if rule.error is None else _ERRNO | rule.error)
    if not rule.when:
        return [(_JUMP_EQUAL, 0, 1, number), verdict]
    body: list[Instruction] = [verdict, (_LOAD_WORD, 0, 0, _NUMBER_AT)]
    for condition in reversed(rule.when):
        missed = len(body) - 1  # to the instruction that loads the number again
        body = [*_test(condition, missed), *body]
    return [(_JUMP_EQUAL, 0, len(body), number), *body]


def _test(condition: When, missed: int) -> list[Instruction]:
    load = (_LOAD_WORD, 0, 0, _ARGUMENTS_AT + 8 * condition.argument)
    mask = [] if condition.mask == _WHOLE else [(_AND, 0, 0, condition.mask)]
    jumps = (0, missed) if condition.equal else (missed, 0)
    return [load, *mask, (_JUMP_EQUAL, *jumps, condition.value)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


@functools.cache
def packed_program(architecture: Architecture, *, network: bool, metadata: bool) -> bytes:
    """Return the program for `rules` in the kernel's format. Cached, and so inherited by processes forked later."""
    program = assemble(architecture, rules(network=network, metadata=metadata))
    return b"".join(struct.pack(_INSTRUCTION, *instruction) for instruction in program)


def load_filter(architecture: Architecture, program: bytes, *, listens: bool = False) -> int:
    """Put this process and all its descendants under a program, for good. Needs `no_new_privs`. Raises `OSError`.

    Returns the descriptor over which calls are handed over that the program wants to be, where it `listens`.
    """
    number = architecture.number("seccomp")
    assert number is not None
    header = _Program(len(program) // struct.calcsize(_INSTRUCTION), program)
    flags = _NEW_LISTENER | _WAIT_KILLABLE if listens else 0
    return kernel.syscall("seccomp", number, _FILTER_MODE, flags, ctypes.addressof(header))


def knows_call(number: int) -> bool:
    """Tell whether this kernel has the call `seccomp` at all, without changing anything."""
    try:
        kernel.syscall("seccomp", number, _FILTER_MODE, 0, 0)
    except OSError as error:
        return error.errno == errno.EFAULT
    return False
