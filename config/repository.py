"""Finds the git repository around a directory by its files alone.

A `.git` file names another directory, and a command of the model may have written it. So it is believed only where that
directory names the file in turn, as git has it for linked working trees.
"""

import os
from typing import Final

import msgspec

from greenroom.config.reader import Reader
from greenroom.config.reason import reason

_LONGEST: Final = 4096
_GIT: Final = ".git"


class RepositoryError(ValueError):
    """There is no repository that can be used; the text completes a sentence."""


class Repository(msgspec.Struct, frozen=True):
    """One working tree and its repository. All paths are absolute and contain no links."""

    root: str
    """The working tree."""
    git_dir: str
    """What belongs to this working tree alone."""
    common_dir: str
    """What all working trees share; equal to `git_dir` in the main one."""

    @property
    def main_root(self) -> str:
        """The main working tree, or the bare repository that has none."""
        above, name = os.path.split(self.common_dir)
        return above if name == _GIT else self.common_dir


def find_repository(directory: str) -> Repository:
    """Return the repository around a directory. Raises `RepositoryError`."""
    root = _root(os.path.realpath(directory))
    if root is None:
        raise RepositoryError(f"{directory} is not in a git repository")
    entry = os.path.join(root, _GIT)
    if os.path.islink(entry):
        raise RepositoryError(f"{entry} is a symbolic link")
    if os.path.isdir(entry):
        return Repository(root, entry, entry)
    git_dir = _named_in(entry, "gitdir:")
    try:
        back = _named_in(os.path.join(git_dir, "gitdir"), "")
        common_dir = _named_in(os.path.join(git_dir, "commondir"), "")
    except RepositoryError:
        raise RepositoryError(f"{root} is a submodule, or another kind of repository without linked trees") from None
    if back != entry or os.path.dirname(git_dir) != os.path.join(common_dir, "worktrees"):
        raise RepositoryError(f"{entry} names a repository that does not know it")
    return Repository(root, git_dir, common_dir)


def _root(directory: str) -> str | None:
    while not os.path.lexists(os.path.join(directory, _GIT)):
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent
    return directory


def _named_in(file: str, start: str) -> str:
    """Return the path that a small file of git names, links followed."""
    try:
        text = os.fsdecode(Reader(os.devnull).read(file, _LONGEST))
    except OSError as error:
        raise RepositoryError(f"{file} cannot be read: {reason(error)}") from error
    place = text.removeprefix(start).strip("\n").removeprefix(" ")
    if not text.startswith(start) or not place or "\0" in place:
        raise RepositoryError(f"{file} names no directory")
    return os.path.realpath(os.path.join(os.path.dirname(file), place))
