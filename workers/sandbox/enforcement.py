"""Puts the calling process under a confinement, for good. For use between fork and exec."""

import resource
from typing import Final

from workers.sandbox import capabilities, kernel, landlock, mounts, seccomp, syscalls
from workers.sandbox.confinement import Confinement
from workers.sandbox.features import Features, probe
from workers.sandbox.grants import grants, list_directory

PROCESSES: Final = 4096
"""Processes and threads that a command may have at once, where they can be told from the user's others."""


def separate(confinement: Confinement, features: Features) -> None:
    """Enter the view of the file system that the confinement asks for, if it asks for one. Raises `OSError`.

    First of two parts: between them the command's directory is entered, so that it is the one of the view.
    """
    if _wants_view(confinement, features) and mounts.enter(confinement):
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        most = PROCESSES if hard == resource.RLIM_INFINITY else min(PROCESSES, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def restrict(confinement: Confinement, features: Features) -> None:
    """Give up all that a confined command may not do. Raises `OSError`; then the process must not go on."""
    architecture = syscalls.this_machine()
    assert architecture is not None
    own_view = _wants_view(confinement, features)
    capabilities.reduce(architecture)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    allowed = grants(confinement, list_directory, separate=own_view)
    landlock.enforce(features.landlock_abi, allowed, network=confinement.network)
    seccomp.load(architecture, _filter(architecture, network=confinement.network, writes=bool(confinement.writable)))


def prepare() -> None:
    """Compute what every command needs, so that whoever is forked later has it."""
    architecture = syscalls.this_machine()
    if probe().missing() or architecture is None:
        return
    for network, writes in ((False, False), (False, True), (True, True)):
        _filter(architecture, network=network, writes=writes)


def _filter(architecture: syscalls.Architecture, *, network: bool, writes: bool) -> bytes:
    return seccomp.packed_program(architecture, network=network, metadata=writes)


def _wants_view(confinement: Confinement, features: Features) -> bool:
    return bool(confinement.writable) and features.separate_views
