"""Hardens a process at startup so that other processes of the same user cannot inspect it."""

import ctypes
import sys

_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PT_DENY_ATTACH = 31
_LINUX = sys.platform.startswith("linux")

# Looked up once, at import, so that the children of a fork server share it.
_libc = ctypes.CDLL(None)
_prctl = _libc.prctl if _LINUX else None


def make_undumpable() -> None:
    """Deny other processes of the same user access to memory, environment and descriptors (prctl(2), PR_SET_DUMPABLE).

    An exec resets the flag, so each program calls this first; a fork inherits it.
    """
    if _prctl is not None:
        _prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    elif sys.platform == "darwin":
        _libc.ptrace(_PT_DENY_ATTACH, 0, None, 0)


def set_name(name: str) -> None:
    """Set the name that `ps` and `top` show; the kernel keeps 15 bytes."""
    if _prctl is not None:
        _prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def adopt_orphans() -> None:
    """Adopt descendants whose own parent dies (PR_SET_CHILD_SUBREAPER), so that none escapes."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
