"""The git worktree of one conversation: made when it begins, made again where it is missing, removed when it is empty.

It is kept as long as it holds anything that is in no other place: a changed, untracked or ignored file, an operation
that is under way, or a commit that no other branch has.
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import msgspec

from greenroom.config.repository import Repository, RepositoryError, find_repository
from greenroom.protocol.errors import ConfigError, GreenroomError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.internal.worker.notices import OwnWorktree
from greenroom.runtime.files import filelock
from greenroom.sessions.storage.directory import make_private
from greenroom.workers.git import GitError
from greenroom.workers.sandbox.confinement import is_within
from greenroom.workers.worktree.record import WorktreePlace, WorktreeRecord, read_record
from greenroom.workers.worktree.repository_git import RepositoryGit

LOCK_SECONDS: Final = 120.0
"""How long another worktree of the same repository, or the end of this one's last use, is waited for."""
_PAUSE: Final = 0.02
_UNDER_WAY: Final = (
    *("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG", "rebase-merge", "rebase-apply", "sequencer"),
)
"""Entries of a git directory while an operation is under way."""


class Workplace(NamedTuple):
    """A worktree that is there."""

    record: WorktreeRecord
    branch: str
    cwd: str
    """The conversation's directory in it."""
    notes: tuple[str, ...] = ()
    """For the user."""

    @property
    def own_worktree(self) -> OwnWorktree:
        """What the supervisor is told of it."""
        return OwnWorktree(path=self.record.path, branch=self.branch)

    @property
    def text(self) -> str:
        """What the user is told of it."""
        return f"Works in a worktree of its own: {self.record.path}, on the branch {self.branch}."


class Released(NamedTuple):
    """What became of a worktree when its conversation ended."""

    removed: bool
    path: str
    branch: str
    reason: str = ""
    """Why it is kept."""


class Worktree:
    """Belongs to one conversation."""

    def __init__(self, home: str, runtime_directory: str, conversation_id: ConversationId) -> None:
        self._home = os.path.realpath(home)
        self._runtime_directory = runtime_directory
        self._place = WorktreePlace(home, conversation_id)

    @property
    def record(self) -> WorktreeRecord | None:
        """What is known of it; `None` if the conversation has none."""
        return self._place.read()

    async def make(self, directory: str) -> Workplace:
        """Make a worktree of the repository around a directory, at its present commit. Raises `ConfigError`."""
        try:
            repository = find_repository(directory)
            await self._sweep()
            async with self._locked(self._place.lock):
                return await self._make(repository, directory)
        except (RepositoryError, GitError, OSError, GreenroomError) as error:
            raise ConfigError(f"no worktree can be made: {_explained(error)}\nin `worktree`") from error

    async def restore(self) -> Workplace | None:
        """Return the worktree of a conversation that goes on, made again where it is missing.

        `None` if it has none. Raises `ConfigError` where it is missing and cannot be made again.
        """
        record = self.record
        if record is None:
            return None
        try:
            async with self._locked(self._place.lock):
                return await self._restore(record)
        except (RepositoryError, GitError, OSError, GreenroomError) as error:
            raise ConfigError(f"the worktree {record.path} cannot be made again: {_explained(error)}") from error

    async def release(self) -> Released | None:
        """Remove the worktree if it holds nothing; `None` if there is none.

        Nobody else may use the conversation meanwhile. Where anything is not as expected it is kept.
        """
        async with self._locked(self._place.lock):
            record = self.record
            if record is None or record.state != "ready":
                return None
            path, branch = record.path, self._place.branch
            try:
                if not os.path.isdir(path):
                    self._place.write(msgspec.structs.replace(record, state="removed"))
                    return None
                git = self._git(record.common_dir)
                reason = await self._holding(git, record)
                if reason is None:
                    await self._remove(git, record)
                    return Released(True, path, branch)
            except (RepositoryError, GitError, OSError, GreenroomError) as error:
                reason = _explained(error)
        return Released(False, path, branch, reason)

    # Making

    async def _make(self, repository: Repository, directory: str) -> Workplace:
        record = self.record
        if record is not None:
            return await self._restore(record)
        git = self._git(repository.common_dir)
        commit = await git.commit(repository.root, "HEAD")
        if commit is None:
            raise RepositoryError(f"the repository {repository.root} has no commit yet")
        if not _is_text(directory) or not _is_text(repository.common_dir):
            raise RepositoryError("the path of the repository is not text in UTF-8")
        below = os.path.relpath(os.path.realpath(directory), repository.root)
        record = WorktreeRecord(
            conversation_id=self._place.conversation_id,
            state="making",
            repository=repository.main_root,
            common_dir=repository.common_dir,
            path=self._place.path(repository.main_root),
            below="" if below == os.curdir else below,
            base=commit,
            commit=commit,
        )
        self._place.write(record)
        try:
            record = await self._add(git, record)
        except BaseException:
            await asyncio.shield(self._withdraw(git, record))
            raise
        return self._workplace(record)

    async def _sweep(self) -> None:
        """Remove what others have left that were killed while they made their worktrees."""
        folder = os.path.dirname(self._place.folder)
        names = os.listdir(folder) if os.path.isdir(folder) else []
        for name in sorted(names):
            record = read_record(os.path.join(folder, name))
            if record is None or record.state != "making" or record.conversation_id == self._place.conversation_id:
                continue
            other = Worktree(self._home, self._runtime_directory, record.conversation_id)
            with filelock.opened(other._place.lock) as descriptor:
                if not filelock.try_lock(descriptor):
                    continue
                record = other.record
                if record is not None and record.state == "making":
                    await other._withdraw(other._git(record.common_dir), record)

    async def _restore(self, record: WorktreeRecord) -> Workplace:
        is_there = record.state == "ready" and os.path.isdir(record.path)
        if is_there and _repository_of(record) is not None:
            return self._workplace(record)
        if is_there:
            raise RepositoryError(f"{record.path} is no longer a worktree of {record.repository}")
        return self._workplace(await self._add(self._git(record.common_dir), record))

    async def _add(self, git: RepositoryGit, record: WorktreeRecord) -> WorktreeRecord:
        """Add the worktree to the repository; return the record of it. What an interrupted attempt has left is cleared
        away."""
        self._check(record)
        branch = self._place.branch
        shutil.rmtree(record.path, ignore_errors=True)
        git.clear_lock(branch)
        async with self._locked(self._lock_of(record.common_dir)):
            at = record.repository
            exists = await git.commit(at, f"refs/heads/{branch}") is not None
            # Twice `--force`: also over an entry that is locked, as one is that was interrupted.
            how = (branch,) if exists else (record.commit,)
            new = () if exists else ("-b", branch, "--no-track")
            forced = ("--force", "--force", "--no-checkout", "--quiet")
            await git.change(at, *_bare(record), "worktree", "add", *forced, *new, "--", record.path, *how)
        repository = find_repository(record.path)
        if repository.root != record.path or repository.common_dir != record.common_dir:
            raise RepositoryError(f"{record.path} is not a worktree of {record.repository}")
        await git.check_out(record.path, repository.git_dir)
        ready = msgspec.structs.replace(record, state="ready")
        self._place.write(ready)
        return ready

    async def _withdraw(self, git: RepositoryGit, record: WorktreeRecord) -> None:
        """Remove what an attempt to make it has left."""
        shutil.rmtree(record.path, ignore_errors=True)
        with contextlib.suppress(GitError, OSError, GreenroomError):
            await git.change(record.repository, *_bare(record), "worktree", "remove", "-f", "-f", "--", record.path)
        git.delete_branch(self._place.branch, record.commit)
        self._place.forget()

    def _workplace(self, record: WorktreeRecord) -> Workplace:
        notes = []
        cwd = os.path.join(record.path, record.below) if record.below else record.path
        if not os.path.isdir(cwd) or not is_within(os.path.realpath(cwd), record.path):
            notes.append(f"{record.below} is not in the commit, so the conversation works in the worktree's root.")
            cwd = record.path
        if os.path.lexists(os.path.join(record.path, ".gitmodules")):
            notes.append("The submodules of the repository are empty in the worktree.")
        return Workplace(record, self._place.branch, cwd, tuple(notes))

    # Removing

    async def _holding(self, git: RepositoryGit, record: WorktreeRecord) -> str | None:
        """Return what the worktree holds that is in no other place; `None` if it holds nothing."""
        self._check(record)
        repository = _repository_of(record)
        if repository is None:
            return "it is no longer a worktree of its repository"
        under_way = [name for name in _UNDER_WAY if os.path.lexists(os.path.join(repository.git_dir, name))]
        if under_way:
            return f"a git operation is under way in it ({under_way[0]})"
        status = ("status", "--porcelain", "--ignored", "--untracked-files=normal", "--ignore-submodules=none")
        changed = (await git.look(record.path, *status)).splitlines()
        if changed:
            return f"it has files that are in no commit ({len(changed)} entries, such as {changed[0][3:]})"
        heads = ["HEAD"]
        if await git.commit(record.path, f"refs/heads/{self._place.branch}") is not None:
            heads.append(f"refs/heads/{self._place.branch}")
        others = ("--not", record.base, f"--exclude={self._place.branch}", "--branches", "--tags", "--remotes")
        if await git.look(record.path, "rev-list", "--max-count=1", *heads, *others):
            return "it has commits that no other branch has"
        return None

    async def _remove(self, git: RepositoryGit, record: WorktreeRecord) -> None:
        commit = await git.commit(record.path, "HEAD") or record.base
        going = msgspec.structs.replace(record, state="removing", commit=commit)
        self._place.write(going)
        async with self._locked(self._lock_of(record.common_dir)):
            try:
                await git.change(record.repository, *_bare(record), "worktree", "remove", "--", record.path)
            except GitError:
                if os.path.isdir(record.path) and _repository_of(record) is not None:
                    self._place.write(record)
                raise
        git.delete_branch(self._place.branch, commit)
        self._place.write(msgspec.structs.replace(going, state="removed"))

    # Parts

    def _check(self, record: WorktreeRecord) -> None:
        """Raise `RepositoryError` unless the repository of the record is what it says."""
        if os.path.basename(record.common_dir) == ".git":
            with contextlib.suppress(RepositoryError):
                found = find_repository(record.repository)
                if found.root == record.repository and found.common_dir == record.common_dir:
                    return
        elif record.repository == record.common_dir == os.path.realpath(record.common_dir):
            return
        raise RepositoryError(f"the repository {record.repository} is not there any more")

    def _git(self, common_dir: str) -> RepositoryGit:
        return RepositoryGit(self._home, self._runtime_directory, common_dir, self._place.folder)

    def _lock_of(self, common_dir: str) -> str:
        import hashlib

        name = hashlib.sha256(os.fsencode(common_dir)).hexdigest()[:16]
        return os.path.join(os.path.dirname(self._place.folder), f"repository-{name}.lock")

    @asynccontextmanager
    async def _locked(self, path: str) -> AsyncIterator[None]:
        make_private(os.path.dirname(path))
        with filelock.opened(path) as descriptor:
            for pause in filelock.attempts(descriptor, LOCK_SECONDS, _PAUSE):
                await asyncio.sleep(pause)
            yield


def _repository_of(record: WorktreeRecord) -> Repository | None:
    try:
        found = find_repository(record.path)
    except RepositoryError:
        return None
    return found if found.root == record.path and found.common_dir == record.common_dir else None


def _bare(record: WorktreeRecord) -> tuple[str, ...]:
    """Return the option that names a bare repository, which git does not look for by itself here."""
    return ("--git-dir", record.common_dir) if record.repository == record.common_dir else ()


def _is_text(path: str) -> bool:
    return path.isprintable() or not any("\ud800" <= character <= "\udfff" for character in path)


def _explained(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
