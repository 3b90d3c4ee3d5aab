"""Numbers of the system calls that the filters name, by architecture.

From 424 on the numbers are the same on all architectures. `None`: the architecture does not have the call.
"""

import os
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

MachineName: TypeAlias = Literal["x86_64", "aarch64"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """An architecture as seen by a seccomp filter."""

    machine: MachineName
    audit: int
    """The value of `arch` in the filter's input (linux/audit.h)."""
    foreign_calls_from: int | None = None
    """Numbers from here on belong to another calling convention (x32)."""

    def number(self, call: str) -> int | None:
        """Return the number of a call; `None` if this architecture never had it."""
        common = COMMON.get(call)
        return common if common is not None else DIFFERENT[call][0 if self.machine == "x86_64" else 1]


ARCHITECTURES: Final[dict[str, Architecture]] = {
    "x86_64": Architecture("x86_64", 0xC000003E, foreign_calls_from=0x40000000),
    "aarch64": Architecture("aarch64", 0xC00000B7),
}


def this_machine() -> Architecture | None:
    """Return the architecture of this process; `None` if no filter is known for it."""
    return ARCHITECTURES.get(os.uname().machine)


COMMON: Final[dict[str, int]] = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "clone3": 435,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "fchmodat2": 452,
    "setxattrat": 463,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_setattr": 469,
}

DIFFERENT: Final[dict[str, tuple[int | None, int | None]]] = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "capget": (125, 90),
    "capset": (126, 91),
    "chmod": (90, None),
    "chown": (92, None),
    "chroot": (161, 51),
    "clone": (56, 220),
    "connect": (42, 203),
    "fanotify_init": (300, 262),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "fremovexattr": (199, 16),
    "fsetxattr": (190, 7),
    "futimesat": (261, None),
    "ioctl": (16, 29),
    "kcmp": (312, 272),
    "keyctl": (250, 219),
    "lchown": (94, None),
    "lremovexattr": (198, 15),
    "lsetxattr": (189, 6),
    "mount": (165, 40),
    "mq_open": (240, 180),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "removexattr": (197, 14),
    "request_key": (249, 218),
    "seccomp": (317, 277),
    "setns": (308, 268),
    "setxattr": (188, 5),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "utime": (132, None),
    "utimensat": (280, 88),
    "utimes": (235, None),
}
