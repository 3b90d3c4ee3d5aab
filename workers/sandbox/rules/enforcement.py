"""Confines the calling process permanently. For use between fork and exec."""

import os
import resource
from dataclasses import dataclass
from typing import Final

from greenroom.workers.sandbox.confinement import Confinement
from greenroom.workers.sandbox.rules import capabilities, landlock, mounts, seccomp
from greenroom.workers.sandbox.rules.directory_fingerprint import DirectoryFingerprint
from greenroom.workers.sandbox.rules.features import KernelFeatures, probe
from greenroom.workers.sandbox.rules.grants import grants
from greenroom.workers.sandbox.system import kernel, syscalls

PROCESSES: Final = 4096
"""Processes and threads that a command may have at once, where they can be counted apart from the user's others."""


@dataclass(frozen=True, slots=True)
class RuleCache:
    """The rules of a confinement, made in advance of a command that may need them."""

    confinement: Confinement
    ruleset: int
    fingerprint: DirectoryFingerprint

    def fits(self, confinement: Confinement) -> bool:
        """Tell whether these are the rules that a confinement would get now."""
        return confinement == self.confinement and self.fingerprint.holds()


def refresh_rules(known: RuleCache | None, confinement: Confinement | None) -> RuleCache | None:
    """Return the rules for another command like the latest: the cached ones where they are still valid.

    `None` where there are none, where something is writable (a directory that is granted as a whole is in no listing,
    so that its replacement would go unnoticed), and where an error occurs, which is reported when the command starts.
    """
    if known is not None and confinement is not None and known.fits(confinement):
        return known
    if known is not None:
        os.close(known.ruleset)
    features = probe()
    if confinement is None or confinement.writable or features.missing():
        return None
    fingerprint = DirectoryFingerprint()
    try:
        return RuleCache(confinement, _rules(confinement, features, fingerprint), fingerprint)
    except OSError:
        return None


def separate(confinement: Confinement, features: KernelFeatures) -> None:
    """Enter the view of the file system that the confinement asks for, if any. Raises `OSError`.

    First of two parts: between them the command's directory is entered, so that it is the one of the view.
    """
    if _wants_view(confinement, features) and mounts.enter_view(confinement):
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        most = PROCESSES if hard == resource.RLIM_INFINITY else min(PROCESSES, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def restrict(confinement: Confinement, features: KernelFeatures, rules: RuleCache | None) -> int | None:
    """Give up all that a confined command may not do. Raises `OSError`; then the process must not go on.

    What it opens stays open until the exec. Returns the descriptor over which the monitor makes the command's
    connections (`greenroom.workers.sandbox.connections`), where it may make any.
    """
    architecture = syscalls.this_machine()
    assert architecture is not None
    capabilities.reduce(architecture)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if rules is not None and rules.fits(confinement):
        landlock.enforce(rules.ruleset)
    else:
        landlock.enforce(_rules(confinement, features, DirectoryFingerprint()))
    program = _filter(architecture, network=confinement.network, writes=bool(confinement.writable))
    listener = seccomp.load_filter(architecture, program, listens=confinement.network)
    return listener if confinement.network else None


def precompute_rules() -> None:
    """Compute what every command needs, so that processes forked later have it."""
    architecture = syscalls.this_machine()
    if probe().missing() or architecture is None:
        return
    for network, writes in ((False, False), (False, True), (True, True)):
        _filter(architecture, network=network, writes=writes)


def _rules(confinement: Confinement, features: KernelFeatures, fingerprint: DirectoryFingerprint) -> int:
    allowed = grants(confinement, fingerprint.list, separate=_wants_view(confinement, features))
    return landlock.make_rules(features.landlock_abi, allowed, network=confinement.network)


def _filter(architecture: syscalls.Architecture, *, network: bool, writes: bool) -> bytes:
    return seccomp.packed_program(architecture, network=network, metadata=writes)


def _wants_view(confinement: Confinement, features: KernelFeatures) -> bool:
    return bool(confinement.writable) and features.separate_views
