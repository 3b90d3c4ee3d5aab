"""Compares a working tree with the nearest commit that a remote has (spec/agent-core, appendix B).

No remote is asked: what was fetched last counts. Neither the network nor the repository is touched.
"""

import asyncio
from typing import Final

import msgspec

from greenroom.protocol.conversation_api import GitDiffToRemote
from greenroom.workers.jobs.context import JobError, Setting
from greenroom.workers.jobs.git import GitError, git

AT_ONCE: Final = 4
"""Git processes at a time."""
_PLAIN: Final = ("--no-ext-diff", "--no-textconv", "--no-color")
_MAIN_BRANCHES: Final = ("main", "master")


async def run(params: bytes, setting: Setting) -> bytes:
    """Return the result of `gitDiffToRemote`. Raises `JobError`."""
    del setting
    cwd = msgspec.json.decode(params, type=GitDiffToRemote).cwd
    try:
        root = (await git(cwd, "rev-parse", "--show-toplevel")).decode(errors="surrogateescape").rstrip("\n")
        sha = await _nearest(root)
        diff = await _diff(root, sha)
    except GitError as error:
        raise JobError(str(error)) from error
    return msgspec.json.encode({"sha": sha, "diff": diff})


async def _nearest(root: str) -> str:
    """Return the commit of a remote's branch that HEAD is the fewest commits ahead of; of equals the first."""
    remotes = sorted(await _lines(root, "remote"), key=lambda name: name != "origin")
    near: list[tuple[int, str]] = []
    for branch in await _candidates(root, remotes):
        sha = await _remote_commit(root, remotes, branch)
        if sha is not None:
            near.append((int(await git(root, "rev-list", "--count", f"{sha}..HEAD")), sha))
    if not near:
        raise GitError("there is no branch of a remote to compare with")
    return min(near, key=lambda found: found[0])[1]


async def _candidates(root: str, remotes: list[str]) -> list[str]:
    """Return branches whose counterparts may be near: the current one, the main one, those of remotes with HEAD."""
    current = await _lines(root, "symbolic-ref", "--quiet", "--short", "HEAD", allowed=(0, 1))
    branches = [*current, await _default_branch(root, remotes)]
    for remote in remotes:
        prefix = f"refs/remotes/{remote}/"
        holding = await _lines(root, "for-each-ref", "--format=%(refname)", "--contains=HEAD", prefix)
        branches += [name.removeprefix(prefix) for name in holding]
    return list(dict.fromkeys(branches))


async def _default_branch(root: str, remotes: list[str]) -> str:
    for remote in remotes:
        prefix = f"refs/remotes/{remote}/"
        head = await _lines(root, "symbolic-ref", "--quiet", f"{prefix}HEAD", allowed=(0, 1))
        if head:
            return head[0].removeprefix(prefix)
    main, fallback = _MAIN_BRANCHES
    return main if await _commit(root, f"refs/heads/{main}") else fallback


async def _remote_commit(root: str, remotes: list[str], branch: str) -> str | None:
    for remote in remotes:
        sha = await _commit(root, f"refs/remotes/{remote}/{branch}")
        if sha is not None:
            return sha
    return None


async def _commit(root: str, ref: str) -> str | None:
    found = await _lines(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", allowed=(0, 1))
    return found[0] if found else None


async def _diff(root: str, sha: str) -> str:
    """Return what has changed since a commit, with files that git does not know yet and does not ignore as new."""
    changed = await git(root, "diff", *_PLAIN, sha, allowed=(0, 1))
    unknown = (await git(root, "ls-files", "--others", "--exclude-standard", "-z")).split(b"\0")[:-1]
    room = asyncio.Semaphore(AT_ONCE)

    async def addition(name: bytes) -> bytes:
        async with room:
            path = name.decode(errors="surrogateescape")
            return await git(root, "diff", *_PLAIN, "--binary", "--no-index", "--", "/dev/null", path, allowed=(0, 1))

    added = await asyncio.gather(*map(addition, unknown))
    return b"".join((changed, *added)).decode(errors="replace")


async def _lines(root: str, *arguments: str, allowed: tuple[int, ...] = (0,)) -> list[str]:
    return (await git(root, *arguments, allowed=allowed)).decode(errors="surrogateescape").splitlines()
