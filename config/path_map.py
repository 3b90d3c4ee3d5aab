"""Directories of a host and where a node has them. Free of I/O; paths are absolute and without `.` and `..`."""

import os
from collections.abc import Mapping


class PathMap:
    """The longest directory that fits counts, either way. Without any entry all paths are the same on both sides."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        """`paths`: directory of the node by directory of the host."""
        self._there = _longest_first({_plain(host): _plain(node) for host, node in paths.items()})
        self._home = _longest_first({node: host for host, node in self._there.items()})

    def there(self, path: str) -> str | None:
        """Return where the node has a directory of the host, `None` where it does not have it."""
        return path if not self._there else _replaced(self._there, path)

    def home(self, path: str) -> str:
        """Return the path of the host for one of the node; one without a counterpart stays as it is."""
        return _replaced(self._home, path) or path


def _plain(path: str) -> str:
    return os.path.normpath(path)


def _longest_first(paths: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(paths.items(), key=lambda pair: len(pair[0]), reverse=True))


def _replaced(paths: Mapping[str, str], path: str) -> str | None:
    for start, goal in paths.items():
        if path == start:
            return goal
        if path.startswith(start.rstrip(os.sep) + os.sep):
            return os.path.join(goal, path[len(start.rstrip(os.sep)) + 1 :])
    return None
