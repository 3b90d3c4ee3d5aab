"""What a confined command may access, as a value that does not depend on the settings.

Processes that start commands import this and not the settings, to stay small. Free of I/O, but for
`Confinement.resolved` and `Confinement.present`.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from greenroom.protocol.secret_names import covers
from greenroom.workers.sandbox.home_links import linked_controls, trail

if TYPE_CHECKING:
    from greenroom.config.secrets.secret_files import SecretFiles

_ALL: Final = ("*",)
_LONGEST_GIT_FILE: Final = 4096
COMMON: Final = "commondir"
"""The file in the directory of a linked working tree that names the one of its repository."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """Entries of a directory that cannot be read, including those that are created later under these names."""

    directory: str
    names: tuple[str, ...] = _ALL
    """A `*` at the end stands for any ending."""
    is_home: bool = False
    """The directory is the Codex home, in which settings may contain secrets too."""

    def covers(self, name: str) -> bool:
        """Tell whether the entry `name` is one of them."""
        return covers(self.names, name)

    def holds(self, path: str) -> bool:
        """Tell whether a normal path is one of them or lies below one."""
        if path == self.directory or not is_within(path, self.directory):
            return False
        return covers(self.names, os.path.relpath(path, self.directory).split(os.sep)[0])


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a confined command may access. All other files can be read but not written."""

    writable: tuple[str, ...]
    """Directories under which everything may be written except what is protected."""
    protected: tuple[str, ...]
    """Not writable although below a writable directory; may be missing."""
    hidden: tuple[Hidden, ...]
    network: bool
    home_names: tuple[str, ...] = ()
    """Names by which the next server will find the Codex home; links in the path to it are not writable either."""
    named: tuple[str, ...] = ()
    """Those of `writable` that the user has named, which take precedence over `yielding`."""
    yielding: tuple[str, ...] = ()
    """Those of `protected` that are writable if the user has named them."""
    sockets: tuple[str, ...] = ()
    """Unix sockets of other programs to which it may connect, if it has network access."""

    def may_write(self, path: str) -> bool:
        """Judge a path, absolute or not, by its text alone: the kernel judges symbolic links."""
        plain = normal(path)
        if not self.may_read(plain):
            return False
        depths = {True: _deepest(plain, self.writable), False: _deepest(plain, self.protected)}
        return depths[True] > depths[False]

    def may_read(self, path: str) -> bool:
        """Judge a path by its text alone. For access outside the sandbox call it with `os.path.realpath`."""
        plain = normal(path)
        return os.path.isabs(plain) and not any(hidden.holds(plain) for hidden in self.hidden)

    def resolved(self) -> "Confinement":
        """Return the same with the symbolic links in its paths followed. Does I/O, as `present` does.

        To be called once, when the conversation starts: a link that a command makes later is refused, not followed.
        """
        named = unique(map(os.path.realpath, self.named))
        places = {path: _without_links_above(path) for path in self.protected}
        overruled = {path for path in self.yielding if places.get(path) in named}
        protected = [place for path, place in places.items() if path not in overruled]
        goals = [goal for path in protected for goal in _goals(path)]
        hidden = [replace(each, directory=os.path.realpath(each.directory)) for each in self.hidden]
        links = [place for name in self.home_names for place in trail(name)]
        controls = [place for each in hidden if each.is_home for place in linked_controls(each.directory)]
        return replace(
            self,
            writable=unique(map(os.path.realpath, self.writable)),
            protected=unique(
                [*protected, *(goal for goal in goals if not _is_named(goal, named)), *links, *controls],
            ),
            hidden=unique(hidden),
            named=named,
            yielding=unique(places[path] for path in self.yielding if path not in overruled),
        ).present()

    def present(self) -> "Confinement":
        """Return the same with the currently existing secret files. To be called before each command, on the resolved
        one."""
        hidden = [_with_present_secrets(each) if each.is_home else each for each in self.hidden]
        return replace(self, hidden=unique([*hidden, *(goal for each in hidden for goal in _linked_secrets(each))]))

    def aliases(self) -> tuple[str, ...]:
        """Return the secrets that can be read through unknown names: hard links outside the home. Does I/O."""
        return tuple(
            f"{name} has another name (a hard link) outside of the Codex home, under which commands can read it"
            for hidden in self.hidden
            if hidden.is_home
            for name in _secrets_of(hidden.directory).aliases_elsewhere()
        )


def is_within(path: str, directory: str) -> bool:
    """Tell whether a normal path is the directory or lies below it."""
    return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)


def normal(path: str) -> str:
    """Remove `.`, `..` and surplus slashes from a path."""
    return "/" + os.path.normpath(path).lstrip("/") if os.path.isabs(path) else os.path.normpath(path)


def _deepest(path: str, directories: Iterable[str]) -> int:
    return max((len(directory) for directory in directories if is_within(path, directory)), default=-1)


def _without_links_above(path: str) -> str:
    """Follow the links of all components but the last."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def _goals(path: str) -> list[str]:
    """Return what a protected path stands for: the target of a link, the directories that a `.git` file names.

    A linked working tree has two: its own, and that of its repository, which has the hooks.
    """
    if os.path.islink(path):
        goal: str | None = os.path.realpath(path)
    elif os.path.basename(path) == ".git" and os.path.isfile(path):
        goal = _named_in(path, after="gitdir:")
    else:
        goal = None
    if goal is None:
        return []
    common = _named_in(os.path.join(goal, COMMON), after="")
    return [goal] if common is None else [goal, common]


def _named_in(file: str, after: str) -> str | None:
    """Return the directory named by a small file of git, relative to the file; `None` if it names none."""
    from greenroom.config.reader import Reader  # not imported by processes that only start commands

    with contextlib.suppress(OSError, ValueError):
        text = Reader(os.devnull).read_start(file, _LONGEST_GIT_FILE).decode()
        if text.startswith(after) and (place := text.removeprefix(after).strip()):
            return os.path.realpath(os.path.join(os.path.dirname(file), place))
    return None


def _secrets_of(home: str) -> "SecretFiles":
    from greenroom.config.secrets.secret_files import secrets_of  # not imported by processes that only start commands

    return secrets_of(home)


def _with_present_secrets(hidden: Hidden) -> Hidden:
    return replace(hidden, names=unique([*hidden.names, *_secrets_of(hidden.directory).names()]))


def _is_named(goal: str, named: Iterable[str]) -> bool:
    """Tell whether the user has named the target of a protected path, or the part of its repository that it is in.

    A named directory that is no repository, and contains one somewhere, does not name that.
    """
    repository = _repository_of(goal)
    return any(is_within(goal, directory) and is_within(directory, repository) for directory in named)


def _repository_of(goal: str) -> str:
    """Return the directory of the repository that a git directory is a part of, or that itself.

    Git keeps those of submodules and of linked working trees in the one of their repository (gitrepository-layout(5)).
    """
    parts = goal.split(os.sep)
    if ".git" in parts:
        return os.sep.join(parts[: parts.index(".git") + 1])
    above, name = os.path.split(os.path.dirname(goal))
    linked = name == "worktrees" and os.path.isfile(os.path.join(goal, COMMON))
    return above if linked else goal


def _linked_secrets(hidden: Hidden) -> list[Hidden]:
    """Return the locations of secrets whose usual place is a link."""
    if not hidden.is_home:
        return []
    with contextlib.suppress(OSError), os.scandir(hidden.directory) as entries:
        links = [entry.path for entry in entries if entry.is_symlink() and hidden.covers(entry.name)]
        goals = [os.path.split(os.path.realpath(link)) for link in links]
        return [Hidden(directory, (f"{name}*",)) for directory, name in goals]
    return []


_T = TypeVar("_T")


def unique(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))
