"""What a confined command may touch: a value that knows nothing of where it comes from.

Whoever starts commands imports this and not the settings, so it stays light. Free of I/O, but for
`Confinement.resolved`.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from greenroom.config.reader import Reader
from greenroom.config.secret_files import covers

_ALL: Final = ("*",)
_LONGEST_GIT_FILE: Final = 4096


@dataclass(frozen=True, slots=True)
class Hidden:
    """Entries of a directory that cannot be read; what appears there later under any name cannot be read either."""

    directory: str
    names: tuple[str, ...] = _ALL
    """With a `*` at the end: all that begin so."""

    def covers(self, name: str) -> bool:
        """Say whether the entry `name` is one of them."""
        return covers(self.names, name)

    def holds(self, path: str) -> bool:
        """Say whether a normal path is one of them or lies below one."""
        if path == self.directory or not is_within(path, self.directory):
            return False
        return covers(self.names, os.path.relpath(path, self.directory).split(os.sep)[0])


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a confined command may touch. Everything else of the file system can be read and not written."""

    writable: tuple[str, ...]
    """Directories under which everything may be written but what is protected."""
    protected: tuple[str, ...]
    """Not writable although under a writable directory; may be missing."""
    hidden: tuple[Hidden, ...]
    network: bool

    def may_write(self, path: str) -> bool:
        """Judge a path, absolute or not, by its text alone: symbolic links are the kernel's to judge."""
        plain = normal(path)
        if not self.may_read(plain):
            return False
        depths = {True: _deepest(plain, self.writable), False: _deepest(plain, self.protected)}
        return depths[True] > depths[False]

    def may_read(self, path: str) -> bool:
        """Judge a path by its text alone. Who reads for a command outside the sandbox asks with `os.path.realpath`."""
        plain = normal(path)
        return os.path.isabs(plain) and not any(hidden.holds(plain) for hidden in self.hidden)

    def resolved(self) -> "Confinement":
        """Return the same with the symbolic links in its paths followed. The one part of this file that does I/O.

        To be done once, when the conversation starts: a link that a command makes later is refused, not followed.
        """
        protected = [_without_links_above(path) for path in self.protected]
        hidden = [replace(each, directory=os.path.realpath(each.directory)) for each in self.hidden]
        return replace(
            self,
            writable=unique(map(os.path.realpath, self.writable)),
            protected=unique([*protected, *(goal for path in protected for goal in _goals(path))]),
            hidden=unique([*hidden, *(goal for each in hidden for goal in _linked_secrets(each))]),
        )


def is_within(path: str, directory: str) -> bool:
    """Say whether a normal path is the directory or lies below it."""
    return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)


def normal(path: str) -> str:
    """Take `.`, `..` and surplus slashes out of a path."""
    return "/" + os.path.normpath(path).lstrip("/") if os.path.isabs(path) else os.path.normpath(path)


def _deepest(path: str, directories: Iterable[str]) -> int:
    return max((len(directory) for directory in directories if is_within(path, directory)), default=-1)


def _without_links_above(path: str) -> str:
    """Follow the links on the way to the last component, and not that itself."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def _goals(path: str) -> list[str]:
    """Return what a protected path stands for: the goal of a link, the directory that a `.git` file names."""
    if os.path.islink(path):
        return [os.path.realpath(path)]
    if os.path.basename(path) != ".git" or not os.path.isfile(path):
        return []
    with contextlib.suppress(OSError, UnicodeError):
        key, _, place = Reader(os.devnull).read_start(path, _LONGEST_GIT_FILE).decode().partition(":")
        if key == "gitdir":
            return [os.path.realpath(os.path.join(os.path.dirname(path), place.strip()))]
    return []


def _linked_secrets(hidden: Hidden) -> list[Hidden]:
    """Return where the secrets lie that are only links in the place where they are looked for."""
    if hidden.names == _ALL:
        return []
    with contextlib.suppress(OSError), os.scandir(hidden.directory) as entries:
        links = [entry.path for entry in entries if entry.is_symlink() and hidden.covers(entry.name)]
        goals = [os.path.split(os.path.realpath(link)) for link in links]
        return [Hidden(directory, (f"{name}*",)) for directory, name in goals]
    return []


_T = TypeVar("_T")


def unique(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))
