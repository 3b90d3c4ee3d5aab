"""Lists the files below a directory as its ignore rules have it.

Git does it, which knows the rules: inside a repository for the repository, elsewhere as if everything were untracked in
one. Where there is no git all files count but those of repositories themselves.
"""

import os
import tempfile
from collections.abc import Iterator
from typing import Final

from greenroom.workers.jobs.git import GitError, git

TIMEOUT: Final = 30.0
"""Seconds that git has for one directory."""
_UNTRACKED: Final = ("ls-files", "--others", "--exclude-standard", "-z")
_ALL: Final = ("ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z")


async def list_files(root: str) -> list[bytes]:
    """Return paths relative to `root`, in no order; what is ignored is left out. Raises `OSError` for no directory."""
    if not os.path.isdir(root):
        raise NotADirectoryError(root)
    found: list[bytes] = []
    for path in await _list(root):
        if path.endswith(b"/"):  # a repository of its own
            found += [path + inner for inner in await list_files(os.path.join(root, os.fsdecode(path)))]
        else:
            found.append(path)
    return found


async def _list(root: str) -> list[bytes]:
    try:
        found = _split(await git(root, *_ALL, timeout_s=TIMEOUT))
    except GitError:
        found = []
    return found or await _list_as_untracked(root)


async def _list_as_untracked(root: str) -> list[bytes]:
    with tempfile.TemporaryDirectory(prefix="greenroom-") as scratch:
        try:
            await git(scratch, "init", "--quiet", "--bare", scratch)
            where = f"--git-dir={scratch}", f"--work-tree={root}"
            return _split(await git(root, *where, *_UNTRACKED, timeout_s=TIMEOUT))
        except GitError:
            return list(_walk(os.fsencode(root), b""))


def _walk(directory: bytes, prefix: bytes) -> Iterator[bytes]:
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        path = prefix + entry.name
        if not entry.is_dir(follow_symlinks=False):
            yield path
        elif entry.name != b".git":
            yield from _walk(entry.path, path + b"/")


def _split(listed: bytes) -> list[bytes]:
    return listed.split(b"\0")[:-1]
