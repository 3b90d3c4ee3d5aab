"""Expresses "everything below here but these" for Landlock, which has no exceptions, by naming all the others.

What is left out cannot be reached by another name either, since Landlock judges a file by the directories above it.
What is created later beside it has no rights, because it was not named.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from greenroom.workers.sandbox.confinement import Confinement, Hidden, is_within
from greenroom.workers.sandbox.rules.landlock import DEVICE, READ, WRITE, FileRight, PathGrant

ListDirectory: TypeAlias = Callable[[str], list[str]]
"""Returns the names in a directory that are not symbolic links; none where it cannot be listed."""

DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty", "ptmx")
"""Devices that a command may use, in any sandbox."""

KERNEL: Final = tuple(map(Hidden, ("/dev", "/proc", "/sys")))
"""Excluded where the policy makes the whole disk writable."""

SHARED_MEMORY: Final = "/dev/shm"


def grants(confinement: Confinement, list_directory: ListDirectory, *, separate: bool) -> list[PathGrant]:
    """Return all rights of a confined command.

    `separate`: its own view of the file system protects entries under a writable directory (`mounts`). Without one
    those directories are granted entry by entry, so nothing can be created beside the entries.
    """
    apart = [hidden for hidden in confinement.hidden if not (separate and _is_writable(hidden, confinement))]
    readable = except_for([*apart, Hidden("/dev")], "/", list_directory)
    writable = [
        place
        for root in confinement.writable
        for place in except_for(_holes(root, confinement, separate=separate), root, list_directory)
    ]
    if separate and writable:
        writable.append(SHARED_MEMORY)
    return [
        PathGrant(FileRight.READ_DIR, ("/",)),
        PathGrant(READ, tuple(readable)),
        PathGrant(READ | WRITE, tuple(writable)),
        PathGrant(DEVICE, tuple(f"/dev/{name}" for name in DEVICES)),
    ]


def _holes(root: str, confinement: Confinement, *, separate: bool) -> list[Hidden]:
    """Return the exceptions of a writable directory. A root in a protected place takes precedence over it."""
    kernel = KERNEL if root == "/" else ()
    if separate:
        return [*kernel]
    protected = (path for path in confinement.protected if path == root or not is_within(root, path))
    return [*confinement.hidden, *map(_as_hole, protected), *kernel]


def except_for(holes: Sequence[Hidden], place: str, list_directory: ListDirectory) -> list[str]:
    """Return the places that together are `place` and all below it, except for the holes."""
    return [] if any(hole.holds(place) for hole in holes) else _around(holes, place, list_directory)


def _around(holes: Sequence[Hidden], place: str, list_directory: ListDirectory) -> list[str]:
    inside = [hole for hole in holes if is_within(hole.directory, place)]
    if not inside:
        return [place]
    here = [hole for hole in inside if hole.directory == place]
    ahead = {_first_name(hole.directory, place) for hole in inside if hole.directory != place}
    names = [name for name in list_directory(place) if not (here and any(hole.covers(name) for hole in here))]
    deeper = [found for name in names if name in ahead for found in _around(inside, _join(place, name), list_directory)]
    return [*(_join(place, name) for name in names if name not in ahead), *deeper]


def _join(directory: str, name: str) -> str:
    return f"{directory.rstrip(os.sep)}{os.sep}{name}"


def _first_name(path: str, above: str) -> str:
    return path[len(above.rstrip(os.sep)) + 1 :].partition(os.sep)[0]


def _is_writable(hidden: Hidden, confinement: Confinement) -> bool:
    return any(is_within(hidden.directory, root) for root in confinement.writable)


def _as_hole(path: str) -> Hidden:
    directory, name = os.path.split(path)
    return Hidden(directory, (name,))
