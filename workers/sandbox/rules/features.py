"""Finds out by trying which features for confining commands this kernel has, and which are missing."""

import contextlib
import functools
import os
import signal
from dataclasses import dataclass
from typing import Final

from greenroom.protocol.errors import SandboxUnavailableError
from greenroom.workers.sandbox.confinement import Confinement
from greenroom.workers.sandbox.rules import landlock, mounts, seccomp
from greenroom.workers.sandbox.system import syscalls

NEEDED_ABI: Final = 3
"""Before this version Landlock does not prevent the truncation of files that may not be written."""

_LATER: Final = {
    4: "TCP ports are refused by the filter of system calls alone (Landlock 4, Linux 6.7)",
    5: "device controls are not restricted (Landlock 5, Linux 6.10)",
    6: "signals to other programs of the same user are not refused (Landlock 6, Linux 6.12)",
}
_NARROW: Final = (
    "where something is protected below a writable directory, nothing can be created directly in that directory, "
    "because this system lets its users make no mount namespaces ({reason})",
    "modes, owners, times and attributes of the user's files can be changed everywhere, for the same reason",
)


@dataclass(frozen=True, slots=True)
class KernelFeatures:
    """What the kernel offers."""

    landlock_abi: int
    """0: there is no Landlock."""
    seccomp: bool
    architecture: str
    namespaces_refused: str | None
    """Why no mount namespace can be made; `None` where one can."""

    @property
    def separate_views(self) -> bool:
        """Whether a command can have its own view of the file system."""
        return self.namespaces_refused is None

    def missing(self) -> tuple[str, ...]:
        """Return the features that a sandbox needs and this system does not have."""
        wanted = {
            f"Landlock {NEEDED_ABI} (Linux 6.2; this kernel offers {self.landlock_abi or 'none'})": (
                self.landlock_abi >= NEEDED_ABI
            ),
            "seccomp filters": self.seccomp,
            f"a table of system calls for {self.architecture}": self.architecture in syscalls.ARCHITECTURES,
        }
        return tuple(name for name, there in wanted.items() if not there)

    def limits(self, *, writes: bool) -> tuple[str, ...]:
        """Return the protections that a sandbox on this system does not provide, or only at a cost.

        `writes`: whether it lets a command write anywhere.
        """
        older = tuple(text for version, text in _LATER.items() if self.landlock_abi < version)
        narrow = () if self.separate_views or not writes else _NARROW
        return (*older, *(text.format(reason=self.namespaces_refused) for text in narrow))

    def require(self) -> None:
        """Raise `SandboxUnavailableError` unless commands can be confined."""
        if missing := self.missing():
            raise SandboxUnavailableError(
                f"commands cannot be confined here: missing {', '.join(missing)}. "
                "Use a newer kernel, or choose danger-full-access where something else keeps the machine safe"
            )


@functools.cache
def probe() -> KernelFeatures:
    """Find out what this kernel offers to this user. Forks once; processes forked later inherit the answer."""
    architecture = syscalls.this_machine()
    number = architecture.number("seccomp") if architecture else None
    return KernelFeatures(
        landlock_abi=landlock.abi(),
        seccomp=number is not None and seccomp.knows_call(number),
        architecture=os.uname().machine,
        namespaces_refused=_try_namespaces(),
    )


def _try_namespaces() -> str | None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            mounts.enter_view(Confinement(("/tmp",), ("/tmp",), (), network=False))
        except BaseException as error:
            os.write(writer, str(error).encode() or b"unknown")
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        refused = answer.read().decode(errors="replace")
    with contextlib.suppress(ChildProcessError):  # the zygote ignores SIGCHLD, so the kernel reaps its children
        os.waitpid(pid, 0)
    return refused or None
