"""What one client watches, and which of it a change belongs to. Free of I/O."""

import os
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from greenroom.supervisor.frontend.app_server.files.inotify import IGNORED, OVERFLOW, InotifyChange

MOST_PATHS: Final = 1000
"""Paths that are kept of one watch; where there are more, what is watched stands for them."""


class Watched(msgspec.Struct, frozen=True):
    """One watch of a client."""

    id: str
    path: str
    """A directory, whose entries count; or a file, which need not exist."""
    number: int
    """The watch of the kernel: of the directory itself, or of the one that the file is in."""
    name: str = ""
    """The name of the file; empty for a directory."""

    def changed_by(self, change: InotifyChange) -> str | None:
        """Return the path that a change of its directory is about; `None` where that does not count."""
        if not change.name:
            return self.path
        if self.name:
            return self.path if change.name == self.name else None
        return os.path.join(self.path, change.name)


class WatchList:
    """The watches of one client, and the changes that it has not been told of."""

    def __init__(self) -> None:
        self._watches: dict[str, Watched] = {}
        self._by_number: dict[int, list[Watched]] = defaultdict(list)
        self._changed: dict[str, set[str]] = defaultdict(set)

    def __contains__(self, watch_id: str) -> bool:
        return watch_id in self._watches

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, watched: Watched) -> None:
        """Add a watch."""
        self._watches[watched.id] = watched
        self._by_number[watched.number].append(watched)

    def remove(self, watch_id: str) -> int | None:
        """Remove a watch, if there is one. Return the number of the kernel's watch that is not needed any more."""
        self._changed.pop(watch_id, None)
        gone = self._watches.pop(watch_id, None)
        if gone is None:
            return None
        alike = self._by_number[gone.number]
        alike.remove(gone)
        if alike:
            return None
        del self._by_number[gone.number]
        return gone.number

    def take(self, found: Iterable[InotifyChange]) -> bool:
        """Note changes, and return whether there is something to tell."""
        for change in found:
            if change.mask & OVERFLOW:
                for one in self._watches.values():
                    self._note(one, one.path)
            elif not change.mask & IGNORED:
                for one in self._by_number.get(change.number, ()):
                    path = one.changed_by(change)
                    if path is not None:
                        self._note(one, path)
        return bool(self._changed)

    def told(self) -> dict[str, list[str]]:
        """Return what has changed since the last call, sorted, by watch."""
        changed, self._changed = self._changed, defaultdict(set)
        return {watch_id: sorted(paths) for watch_id, paths in changed.items()}

    def _note(self, watched: Watched, path: str) -> None:
        paths = self._changed[watched.id]
        paths.add(path)
        if len(paths) > MOST_PATHS:
            paths.clear()
            paths.add(watched.path)
