"""Makes directories that only the user can access, and whose entries survive a crash of the machine."""

import os


def make_private(directory: str) -> list[str]:
    """Make a directory and its parents; return the parents that got an entry and have to be synced."""
    if os.path.isdir(directory):
        return []
    parent = os.path.dirname(directory)
    changed = make_private(parent)
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        return changed
    return [*changed, parent]


def sync(directory: str) -> None:
    """Wait until the entries of a directory are safe on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
