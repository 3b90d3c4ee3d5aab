"""A command's own view of the file system, in which only the writable places are writable.

Landlock cannot forbid something below what it allows, and can allow new entries of a directory only by a right on the
directory. So what is protected under a writable directory is bind-mounted read-only on itself, and what is hidden there
is covered. The same view protects what Landlock does not see: modes, owners, times and attributes of other files, and
other mounts of the same directories. Being a mount point, a protected place cannot be renamed, and neither can the
directories above it, which are mounted on themselves for that reason.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from greenroom.workers.sandbox.confinement import Confinement, Hidden, is_within
from greenroom.workers.sandbox.rules.grants import SHARED_MEMORY
from greenroom.workers.sandbox.system import kernel
from greenroom.workers.sandbox.system.syscalls import COMMON

_NEW_USERS: Final = 0x10000000
_NEW_MOUNTS: Final = 0x00020000
_RECURSIVE: Final = 0x8000
_PRIVATE: Final = 1 << 18
_READ_ONLY: Final = 1
_NO_SETUID_NO_DEVICES: Final = 2 | 4
_TREE_COPY: Final = 1 | os.O_CLOEXEC
_ONTO_DESCRIPTORS: Final = 0x04 | 0x40
_WORD: Final = 8


class Treatment(IntEnum):
    """The treatment of a place, in the order of execution where one place has several."""

    PINNED = 1
    """Unchanged, but cannot be renamed."""
    WRITABLE = 2
    READ_ONLY = 3
    COVERED = 4


@dataclass(frozen=True, slots=True)
class MountStep:
    """One change to the view."""

    path: str
    treatment: Treatment
    hidden: Hidden | None = None
    """What a cover hides."""


def plan_mounts(confinement: Confinement) -> list[MountStep]:
    """Return the changes to a view in which everything was made read-only. Free of I/O.

    A place comes after all places above it, so that the deepest takes precedence.
    """
    roots = confinement.writable
    steps = [
        *(MountStep(root, Treatment.WRITABLE) for root in roots),
        *(MountStep(path, Treatment.READ_ONLY) for path in confinement.protected if _is_below_any(path, roots)),
        *(
            MountStep(hidden.directory, Treatment.COVERED, hidden)
            for hidden in confinement.hidden
            if _is_below_any(hidden.directory, roots)
        ),
    ]
    pins = {above for step in steps for above in _between(step.path, roots)} - {step.path for step in steps}
    steps += [MountStep(path, Treatment.PINNED) for path in pins]
    return sorted(steps, key=lambda step: (step.path.rstrip(os.sep).count(os.sep), step.treatment, step.path))


def _is_below_any(path: str, roots: tuple[str, ...]) -> bool:
    return any(is_within(path, root) for root in roots)


def _between(path: str, roots: tuple[str, ...]) -> Iterator[str]:
    """Return the directories above a place that could be renamed: those that lie in a writable one."""
    above = os.path.dirname(path)
    while above != os.path.dirname(above):
        if any(is_within(above, root) and above != root for root in roots):
            yield above
        above = os.path.dirname(above)


def enter_view(confinement: Confinement) -> bool:
    """Give this process the view. Raises `OSError` where the kernel does not allow it.

    Must come before Landlock, which forbids mounting. Returns whether it needed a user namespace, in which the kernel
    counts the command's processes apart from the user's others.
    """
    counted_apart = _leave_common_namespace()
    steps = plan_mounts(confinement)
    copies = [_copy_of(step) for step in steps]
    if "/" not in confinement.writable:
        _set(kernel.AT_FDCWD, "/", _RECURSIVE, attributes=_READ_ONLY)
    if os.path.isdir(SHARED_MEMORY) and not _is_below_any(SHARED_MEMORY, confinement.writable):
        kernel.mount("tmpfs", SHARED_MEMORY, _NO_SETUID_NO_DEVICES, "mode=1777")
    for step, copy in zip(steps, copies, strict=True):
        _take(step, copy)
    return counted_apart


def _leave_common_namespace() -> bool:
    owned = False
    try:
        kernel.unshare(_NEW_MOUNTS)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        _become_owner_of_namespaces()
        owned = True
    _set(kernel.AT_FDCWD, "/", _RECURSIVE, propagation=_PRIVATE)
    return owned


def _become_owner_of_namespaces() -> None:
    user, group = os.getuid(), os.getgid()
    kernel.unshare(_NEW_USERS | _NEW_MOUNTS)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # otherwise these files would appear to belong to root
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _copy_of(step: MountStep) -> int | None:
    """Copy a writable directory before everything is made read-only. A link in its place is not copied."""
    if step.treatment != Treatment.WRITABLE or step.path == "/":
        return None
    place = _open_or_none(step.path)
    if place is None:
        return None
    try:
        return None if stat.S_ISLNK(os.fstat(place).st_mode) else _copy(place)
    finally:
        os.close(place)


def _take(step: MountStep, copy: int | None) -> None:
    place = _open_or_none(step.path)
    if place is None:
        return
    try:
        match step.treatment:
            case Treatment.WRITABLE:
                if copy is not None:
                    _put(copy, place)
            case Treatment.PINNED:
                _put(_copy(place), place)
            case Treatment.READ_ONLY:
                _put(_read_only_copy(place), place)
            case Treatment.COVERED:
                assert step.hidden is not None
                _cover(place, step.hidden)
    finally:
        os.close(place)


def _cover(place: int, hidden: Hidden) -> None:
    """Mount an empty directory over a place, and show in it read-only what is not hidden."""
    shown = {}
    for name in os.listdir(f"/proc/self/fd/{place}"):
        if not hidden.covers(name):
            entry = _open_or_none(os.path.join(hidden.directory, name))
            if entry is not None:
                shown[name] = entry
    kernel.mount("tmpfs", f"/proc/self/fd/{place}", _NO_SETUID_NO_DEVICES, "mode=0755,size=64k")
    for name, entry in shown.items():
        _show(os.path.join(hidden.directory, name), entry)
        os.close(entry)
    cover = kernel.open_path(hidden.directory)
    _set(cover, "", kernel.AT_EMPTY_PATH, attributes=_READ_ONLY)
    os.close(cover)


def _show(path: str, entry: int) -> None:
    mode = os.fstat(entry).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink("", dir_fd=entry), path)
        return
    if stat.S_ISDIR(mode):
        os.mkdir(path)
    elif stat.S_ISREG(mode):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC))
    else:
        return
    place = kernel.open_path(path)
    _put(_read_only_copy(entry), place)
    os.close(place)


def _open_or_none(path: str) -> int | None:
    try:
        return kernel.open_path(path)
    except OSError as error:
        if error.errno in kernel.MISSING:
            return None
        raise


def _copy(place: int) -> int:
    flags = _TREE_COPY | kernel.AT_EMPTY_PATH | _RECURSIVE
    return kernel.syscall("open_tree", COMMON["open_tree"], place, b"", flags)


def _read_only_copy(place: int) -> int:
    copy = _copy(place)
    _set(copy, "", kernel.AT_EMPTY_PATH | _RECURSIVE, attributes=_READ_ONLY)
    return copy


def _put(copy: int, place: int) -> None:
    kernel.syscall("move_mount", COMMON["move_mount"], copy, b"", place, b"", _ONTO_DESCRIPTORS)
    os.close(copy)


def _set(place: int, path: str, flags: int, *, attributes: int = 0, propagation: int = 0) -> None:
    change = b"".join(value.to_bytes(_WORD, "little") for value in (attributes, 0, propagation, 0))
    kernel.syscall("mount_setattr", COMMON["mount_setattr"], place, path.encode(), flags, change, len(change))
