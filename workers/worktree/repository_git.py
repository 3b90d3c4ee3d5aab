"""Runs git for the worktree of one conversation: confined, with only as much of the repository writable as it needs.

Hooks are off, and filters run confined with everything else (docs/decisions/0018-git-runs-in-the-sandbox.md). The
branches, the list of worktrees and the new worktree are writable; the settings, hooks and objects of the repository are
not.
"""

import os
import re
from collections.abc import Sequence
from typing import Final

from greenroom.runtime.files.open_directory import enter
from greenroom.workers.git import Git, GitError
from greenroom.workers.job_context import GitLimits, Setting
from greenroom.workers.worktree.record import BRANCHES

LIMITS: Final = GitLimits(seconds=60.0, start_seconds=10.0)
CHECKOUT_SECONDS: Final = 300.0
"""For writing the files of a commit."""
_COMMIT: Final = re.compile("[0-9a-f]{40,64}")
_REQUIRED_FILTERS: Final = ("config", "--null", "--name-only", "--get-regexp", r"^filter\..*\.required$")


class RepositoryGit:
    """Git for one repository and one place of a worktree."""

    def __init__(self, home: str, runtime_directory: str, common_dir: str, folder: str) -> None:
        """`folder` contains the worktree."""
        self._setting = Setting(home, runtime_directory, git=LIMITS)
        self._common_dir = common_dir
        self._folder = folder

    async def look(self, cwd: str, *arguments: str, allowed: Sequence[int] = (0,)) -> str:
        """Return what a command that changes nothing wrote. Raises `GitError`."""
        async with Git(cwd, self._setting) as git:
            written = await git.run(cwd, *arguments, allowed=allowed, explain=True)
        return written.decode(errors="surrogateescape")

    async def commit(self, cwd: str, name: str) -> str | None:
        """Return the id of a commit; `None` if there is none of that name. Raises `GitError`."""
        found = await self.look(cwd, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", allowed=(0, 1, 128))
        found = found.strip()
        return found if _COMMIT.fullmatch(found) else None

    async def change(self, cwd: str, *arguments: str) -> None:
        """Run a command that makes or removes a worktree. Raises `GitError` or `OSError`."""
        async with Git(cwd, self._setting, (self._folder, *self._shared_places())) as git:
            await git.run(cwd, *arguments, explain=True)

    async def check_out(self, path: str, git_dir: str) -> None:
        """Write the files of the commit of a new worktree. Raises `GitError`.

        A filter that fails, as one that needs the network does, leaves its files as they are in the repository.
        """
        async with Git(path, self._setting, (path, git_dir)) as git:
            names = await git.run(path, *_REQUIRED_FILTERS, allowed=(0, 1))
            required = [name.decode(errors="surrogateescape") for name in names.split(b"\0") if name]
            settings = {**dict.fromkeys(required, "false"), "submodule.recurse": "false"}
            await git.run(
                path, "read-tree", "--reset", "-u", "HEAD", settings=settings, timeout_s=CHECKOUT_SECONDS, explain=True
            )

    def delete_branch(self, branch: str, commit: str) -> bool:
        """Delete a branch that is a file with this commit; return whether it is gone. Another form of it stays."""
        try:
            directory = enter(os.path.join(self._common_dir, "refs", "heads", BRANCHES))
        except OSError:
            return False
        name = os.path.basename(branch)
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
            try:
                is_same = os.read(descriptor, 128).decode(errors="replace").strip() == commit
            finally:
                os.close(descriptor)
            if is_same:
                os.unlink(name, dir_fd=directory)
            return is_same
        except OSError:
            return False
        finally:
            os.close(directory)

    def clear_lock(self, branch: str) -> None:
        """Remove the lock of the conversation's branch, which a killed git has left."""
        try:
            directory = enter(os.path.join(self._common_dir, "refs", "heads", BRANCHES))
        except OSError:
            return
        try:
            os.unlink(f"{os.path.basename(branch)}.lock", dir_fd=directory)
        except OSError:
            pass
        finally:
            os.close(directory)

    def _shared_places(self) -> list[str]:
        """Return the writable directories of the repository, made where they are missing, through no links."""
        has_tables = os.path.isdir(os.path.join(self._common_dir, "reftable"))
        branches = ("reftable",) if has_tables else (f"refs/heads/{BRANCHES}", f"logs/refs/heads/{BRANCHES}")
        places = [os.path.join(self._common_dir, name) for name in ("worktrees", *branches)]
        for place in places:
            try:
                os.close(enter(place, on_made=lambda _: None))
            except OSError as error:
                raise GitError(f"{place} cannot be written: {error.strerror}") from error
        return places
