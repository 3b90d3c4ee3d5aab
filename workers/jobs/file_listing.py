"""Lists the files below a directory according to its ignore rules.

Git does this, because it knows the rules: within a repository for the repository, elsewhere as if all files were
untracked in one. If git is missing or cannot be confined, all files are listed except the repositories' own data.
Nothing outside the directory is listed, whatever a repository in it says.
"""

import asyncio
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from typing import Final

from greenroom.workers.git import Git, GitError, GitUnavailableError, is_inside, leads_through_links

log = logging.getLogger(__name__)

TIMEOUT: Final = 30.0
"""Seconds for one directory, including all repositories in it. Files listed by then count."""
MOST: Final = 2_000_000
"""Maximum files of one directory."""
AT_ONCE: Final = 1000
"""Files listed without git between two opportunities for other tasks of the loop."""
_UNTRACKED: Final = ("ls-files", "--others", "--exclude-standard", "-z")
_ALL: Final = ("ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z")
_HEAD: Final = b"ref: refs/heads/main\n"
_CONFIG: Final = b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n"

_SIGNS: Final = (b"\0/", b"//", b"\0\0", b"\0./", b"/./", b"/.\0", b"\0.\0", b"\0..", b"/..")
"""In a list of paths between NULs, one of these occurs if a path leads up, is absolute or is empty."""


async def list_files(root: str, git: Git) -> list[bytes]:
    """Return paths relative to `root`, in no order, without ignored files. Raises `OSError` if it is not a
    directory."""
    if not os.path.isdir(root):
        raise NotADirectoryError(root)
    listing = _Listing(os.path.realpath(root), git)
    try:
        await listing.fill()
    except GitUnavailableError as error:
        log.warning("files are listed without git, so what is to be ignored is listed too: %s", error)
        return await listing.walked(b"")
    return listing.found


class _Listing:
    """Lists the files of one directory, repository by repository."""

    def __init__(self, root: str, git: Git) -> None:
        self._root = root
        self._git = git
        self._stop_at = time.monotonic() + TIMEOUT
        self.found: list[bytes] = []

    async def fill(self) -> None:
        """List the directory, then the repositories in it, until all are done or a limit is reached."""
        ahead = [b""]
        while ahead and self._remaining() > 0 and len(self.found) < MOST:
            prefix = ahead.pop()
            listed = [prefix + path for path in await self._list(prefix)]
            self.found += itertools.islice((path for path in listed if not path.endswith(b"/")), MOST - len(self.found))
            ahead += filter(self._is_real, (path for path in listed if path.endswith(b"/")))

    async def walked(self, prefix: bytes) -> list[bytes]:
        """List without git."""
        found: list[bytes] = []
        paths = _walk(os.path.join(os.fsencode(self._root), prefix), b"")
        while self._remaining() > 0 and len(found) < MOST and (some := list(itertools.islice(paths, AT_ONCE))):
            found += some
            await asyncio.sleep(0)
        return found

    def _remaining(self) -> float:
        return self._stop_at - time.monotonic()

    def _is_real(self, repository: bytes) -> bool:
        """Tell whether a repository is really below the directory, and not the target of a link."""
        path = os.fsdecode(repository)
        return os.path.isdir(os.path.join(self._root, path)) and not leads_through_links(self._root, path)

    async def _list(self, prefix: bytes) -> list[bytes]:
        directory = os.path.join(self._root, os.fsdecode(prefix))
        try:
            paths = _split(await self._git.run(directory, *_ALL, timeout_s=self._remaining()))
        except GitUnavailableError:
            raise
        except GitError:
            paths = []
        return paths or await self._list_as_untracked(directory, prefix)

    async def _list_as_untracked(self, directory: str, prefix: bytes) -> list[bytes]:
        with tempfile.TemporaryDirectory(prefix="greenroom-", ignore_cleanup_errors=True) as scratch:
            _make_repository(scratch)
            where = f"--git-dir={scratch}", f"--work-tree={directory}"
            try:
                return _split(await self._git.run(directory, *where, *_UNTRACKED, timeout_s=self._remaining()))
            except GitUnavailableError:
                raise
            except GitError:
                return await self.walked(prefix)


def _make_repository(directory: str) -> None:
    """Create the minimum that git accepts as an empty repository. A confined git could not do it.

    Commands may write to the temporary directory, so nothing that already exists there is followed or overwritten.
    """
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for name in ("objects", "refs"):
            os.mkdir(name, dir_fd=place)
        for name, text in (("HEAD", _HEAD), ("config", _CONFIG)):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(name, flags, 0o600, dir_fd=place), "wb") as file:
                file.write(text)
    finally:
        os.close(place)


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
    """Split a list of paths, and drop those that do not lead down."""
    paths = listed.split(b"\0", MOST)[:-1]
    bounded = b"\0" + listed
    if any(sign in bounded for sign in _SIGNS):  # tested all at once: such paths are rare, and lists are long
        return list(filter(is_inside, paths))
    return paths
