"""Promises of the filter of system calls: the assembled program decides as the rules say."""

import errno
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.sandbox.rules.seccomp import (
    ALLOW,
    KILL_PROCESS,
    NAMESPACES,
    NOTIFY,
    Instruction,
    SyscallRule,
    assemble,
    packed_program,
    rules,
)
from greenroom.workers.sandbox.system.syscalls import ARCHITECTURES, COMMON, DIFFERENT, Architecture

WORDS = st.integers(0, 2**64 - 1) | st.integers(0, 64)
ARGUMENTS = st.lists(WORDS, min_size=6, max_size=6)
MACHINES = st.sampled_from(list(ARCHITECTURES.values()))
EITHER = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
REFUSED = 0x50000 | errno.EPERM


def decide(program: list[Instruction], number: int, audit: int, arguments: list[int]) -> int:
    """Run a program as the kernel does."""
    data = struct.pack("<II Q 6Q", number, audit, 0, *arguments)
    accumulator, position = 0, 0
    while True:
        code, if_true, if_false, value = program[position]
        position += 1
        if code == 0x20:
            accumulator = int.from_bytes(data[value : value + 4], "little")
        elif code == 0x54:
            accumulator &= value
        elif code in (0x15, 0x35):
            holds = accumulator == value if code == 0x15 else accumulator >= value
            position += if_true if holds else if_false
        else:
            assert code == 0x06
            return value


def expected(chosen: tuple[SyscallRule, ...], architecture: Architecture, number: int, arguments: list[int]) -> int:
    for rule in chosen:
        if architecture.number(rule.call) == number and all(
            ((arguments[when.argument] & when.mask & 0xFFFFFFFF) == when.value) is when.equal for when in rule.when
        ):
            return NOTIFY if rule.error is None else 0x50000 | rule.error
    return ALLOW


@given(MACHINES, st.booleans(), st.booleans(), st.integers(0, 600), ARGUMENTS)
def test_program_decides_as_the_rules_do(
    architecture: Architecture, network: bool, metadata: bool, number: int, arguments: list[int]
) -> None:
    chosen = rules(network=network, metadata=metadata)
    program = assemble(architecture, chosen)
    assert decide(program, number, architecture.audit, arguments) == expected(chosen, architecture, number, arguments)


@given(MACHINES, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), ARGUMENTS)
def test_foreign_calling_conventions_are_fatal(
    architecture: Architecture, audit: int, number: int, arguments: list[int]
) -> None:
    program = assemble(architecture, rules(network=False, metadata=True))
    if audit != architecture.audit:
        assert decide(program, number, audit, arguments) == KILL_PROCESS
    if architecture.machine == "x86_64" and number >= 0x40000000:
        assert decide(program, number, architecture.audit, arguments) == KILL_PROCESS


@EITHER
@pytest.mark.parametrize(
    ("call", "arguments", "offline", "online"),
    [
        ("socket", [socket.AF_INET, 1, 0], REFUSED, ALLOW),
        ("socket", [socket.AF_INET6, 2, 0], REFUSED, ALLOW),
        ("socket", [socket.AF_UNIX, 1, 0], REFUSED, ALLOW),
        ("socket", [socket.AF_UNIX, socket.SOCK_SEQPACKET | 0x80800, 0], REFUSED, ALLOW),
        ("socket", [socket.AF_UNIX, socket.SOCK_DGRAM, 0], REFUSED, REFUSED),
        ("socket", [socket.AF_UNIX, socket.SOCK_RAW | 0x80000, 0], REFUSED, REFUSED),
        ("connect", [3, 4096, 16], ALLOW, NOTIFY),
        ("socket", [16, 3, 0], REFUSED, ALLOW),
        ("socket", [16, 3, 15], REFUSED, REFUSED),
        ("socket", [40, 1, 0], REFUSED, REFUSED),
        ("socketpair", [socket.AF_UNIX, socket.SOCK_STREAM | 0x80000, 0], ALLOW, ALLOW),
        ("socketpair", [socket.AF_UNIX, socket.SOCK_SEQPACKET, 0], ALLOW, ALLOW),
        ("socketpair", [socket.AF_UNIX, socket.SOCK_DGRAM, 0], REFUSED, REFUSED),
        ("socketpair", [socket.AF_INET, socket.SOCK_STREAM, 0], REFUSED, REFUSED),
        ("ptrace", [0, 0, 0], REFUSED, REFUSED),
        ("unshare", [0x400], ALLOW, ALLOW),
        ("unshare", [0x400 | 0x20000], REFUSED, REFUSED),
        ("clone", [17], ALLOW, ALLOW),
        ("clone", [17 | 0x40000000], REFUSED, REFUSED),
        ("prlimit64", [0, 7], ALLOW, ALLOW),
        ("prlimit64", [1, 7], REFUSED, REFUSED),
        ("ioctl", [0, 0x5401], ALLOW, ALLOW),
        ("ioctl", [0, 0x5412], REFUSED, REFUSED),
        ("fchmod", [3, 0o600], ALLOW, ALLOW),
    ],
)
def test_verdicts(machine: str, call: str, arguments: list[int], offline: int, online: int) -> None:
    architecture = ARCHITECTURES[machine]
    number = architecture.number(call)
    assert number is not None
    padded = arguments + [0] * (6 - len(arguments))
    for network, verdict in ((False, offline), (True, online)):
        program = assemble(architecture, rules(network=network, metadata=True))
        assert decide(program, number, architecture.audit, padded) == verdict


@EITHER
def test_where_nothing_is_writable_nothing_can_be_altered(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    program = assemble(architecture, rules(network=False, metadata=False))
    for call in ("fchmod", "fchownat", "utimensat", "setxattr", "fchmodat2"):
        number = architecture.number(call)
        assert number is not None
        assert decide(program, number, architecture.audit, [0] * 6) == REFUSED


def test_namespace_flags_are_those_of_the_kernel() -> None:
    flags = {"mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000}
    flags |= {"pid": 0x20000000, "net": 0x40000000}
    assert sum(flags.values()) == NAMESPACES


@EITHER
def test_every_rule_names_a_known_call_and_fits_into_a_program(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    for network in (True, False):
        chosen = rules(network=network, metadata=False)
        assert all(rule.call in COMMON or rule.call in DIFFERENT for rule in chosen)
        program = packed_program(architecture, network=network, metadata=False)
        assert len(program) // 8 < 4096
