"""The entries of directories when they were listed, and whether they are unchanged."""

import os


class DirectoryFingerprint:
    """The entries of the directories that were listed through it, links left out."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, int]] = {}

    def list(self, path: str) -> list[str]:
        """Return the names in a directory that are not symbolic links; none where it cannot be listed."""
        names = self._found[path] = _entries(path)
        return list(names)

    def holds(self) -> bool:
        """Tell whether all those directories have the same entries now, each the same file."""
        return all(_entries(path) == entries for path, entries in self._found.items())


def _entries(path: str) -> dict[str, int]:
    try:
        with os.scandir(path) as entries:
            return {entry.name: entry.inode() for entry in entries if not entry.is_symlink()}
    except OSError:
        return {}
