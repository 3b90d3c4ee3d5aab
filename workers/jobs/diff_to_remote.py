"""Compares a working tree with the nearest commit that a remote has.

No remote is contacted: what was fetched last counts. Neither the network nor the repository is modified.
"""

import asyncio
import os
import re
from typing import Final

import msgspec

from greenroom.protocol.conversation_api import GitDiffToRemote
from greenroom.workers.git import Git, GitError, GitUnavailableError, is_inside, leads_through_links
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.sandbox.confinement import is_within

AT_ONCE: Final = 4
"""Git processes at a time."""
TIMEOUT: Final = 60.0
"""Seconds for the whole job."""
_PLAIN: Final = ("--no-ext-diff", "--no-textconv", "--no-color")
_MAIN_BRANCHES: Final = ("main", "master")
_COMMIT: Final = re.compile("[0-9a-f]{40,64}")
_REQUIRED_FILTERS: Final = ("config", "--null", "--name-only", "--get-regexp", r"^filter\..*\.required$")


async def run(params: bytes, setting: Setting) -> bytes:
    """Return the result of `gitDiffToRemote`. Raises `JobError`, or `SandboxUnavailableError` if there is no
    sandbox."""
    cwd = msgspec.json.decode(params, type=GitDiffToRemote).cwd
    try:
        async with asyncio.timeout(TIMEOUT), Git(os.path.abspath(cwd), setting) as git:
            tree = _Tree(git, await _root(git, cwd))
            sha = await tree.nearest()
            diff = await tree.diff(sha)
    except GitUnavailableError as error:
        raise error.reason from error
    except TimeoutError:
        raise JobError(f"git took longer than {TIMEOUT:g} s") from None
    except (GitError, OSError, ValueError) as error:
        raise JobError(str(error)) from error
    return msgspec.json.encode({"sha": sha, "diff": diff})


async def _root(git: Git, cwd: str) -> str:
    """Return the working tree around a directory. Raises `GitError` if settings place it elsewhere."""
    told = (await git.run(cwd, "rev-parse", "--show-toplevel")).decode(errors="surrogateescape").rstrip("\n")
    root = os.path.realpath(told)
    if not told or not is_within(os.path.realpath(cwd), root):
        raise GitError(f"the working tree of {cwd} is elsewhere")
    return root


class _Tree:
    """A working tree with its repository."""

    def __init__(self, git: Git, root: str) -> None:
        self._git = git
        self._root = root

    async def nearest(self) -> str:
        """Return the commit of a remote's branch that HEAD is the fewest commits ahead of; if there are several, the
        first."""
        remotes = sorted(await self._lines("remote"), key=lambda name: name != "origin")
        near: list[tuple[int, str]] = []
        for branch in await self._candidates(remotes):
            sha = await self._remote_commit(remotes, branch)
            if sha is not None:
                near.append((int(await self._run("rev-list", "--count", f"{sha}..HEAD")), sha))
        if not near:
            raise GitError("there is no branch of a remote to compare with")
        return min(near, key=lambda found: found[0])[1]

    async def diff(self, sha: str) -> str:
        """Return the changes since a commit; untracked files that are not ignored count as new."""
        changed = await self._run("diff", *_PLAIN, sha, allowed=(0, 1), settings=await self._lenient())
        unknown = (await self._run("ls-files", "--others", "--exclude-standard", "-z")).split(b"\0")[:-1]
        room = asyncio.Semaphore(AT_ONCE)
        left = self._git.largest - len(changed)

        async def addition(path: str) -> bytes:
            nonlocal left
            async with room:
                added = await self._addition(path)
            left -= len(added)
            if left < 0:
                raise GitError(f"the diff is longer than {self._git.largest} bytes")
            return added

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(addition(os.fsdecode(path))) for path in unknown if self._is_here(path)]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return b"".join((changed, *(task.result() for task in tasks))).decode(errors="replace")

    async def _candidates(self, remotes: list[str]) -> list[str]:
        """Return branches whose remote counterparts may be near: the current one, the main one, those of remotes with
        HEAD."""
        current = await self._lines("symbolic-ref", "--quiet", "--short", "HEAD", allowed=(0, 1))
        branches = [*current, await self._default_branch(remotes)]
        for remote in remotes:
            prefix = f"refs/remotes/{remote}/"
            holding = await self._lines("for-each-ref", "--format=%(refname)", "--contains=HEAD", prefix)
            branches += [name.removeprefix(prefix) for name in holding]
        return list(dict.fromkeys(branches))

    async def _default_branch(self, remotes: list[str]) -> str:
        for remote in remotes:
            prefix = f"refs/remotes/{remote}/"
            head = await self._lines("symbolic-ref", "--quiet", f"{prefix}HEAD", allowed=(0, 1))
            if head:
                return head[0].removeprefix(prefix)
        main, fallback = _MAIN_BRANCHES
        return main if await self._commit(f"refs/heads/{main}") else fallback

    async def _remote_commit(self, remotes: list[str], branch: str) -> str | None:
        for remote in remotes:
            sha = await self._commit(f"refs/remotes/{remote}/{branch}")
            if sha is not None:
                return sha
        return None

    async def _commit(self, ref: str) -> str | None:
        commits = await self._lines("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", allowed=(0, 1))
        return commits[0] if commits and _COMMIT.fullmatch(commits[0]) else None

    async def _lenient(self) -> dict[str, str]:
        """Return the settings with which a filter that the sandbox blocks does not fail the diff.

        Files that it would have converted are compared unconverted.
        """
        names = (await self._run(*_REQUIRED_FILTERS, allowed=(0, 1))).split(b"\0")[:-1]
        return {os.fsdecode(name): "false" for name in names}

    async def _addition(self, path: str) -> bytes:
        return await self._run("diff", *_PLAIN, "--binary", "--no-index", "--", "/dev/null", path, allowed=(0, 1))

    def _is_here(self, path: bytes) -> bool:
        return is_inside(path) and not leads_through_links(self._root, os.fsdecode(path))

    async def _lines(self, *arguments: str, allowed: tuple[int, ...] = (0,)) -> list[str]:
        return (await self._run(*arguments, allowed=allowed)).decode(errors="surrogateescape").splitlines()

    async def _run(
        self, *arguments: str, allowed: tuple[int, ...] = (0,), settings: dict[str, str] | None = None
    ) -> bytes:
        return await self._git.run(self._root, *arguments, allowed=allowed, settings=settings)
