"""Brings a plan to the disk: all of it or, where anything is refused, none of it.

A file keeps its mode, and its owner and extended attributes as far as the system lets us. One with several hard links
loses the others, as with most editors. A symlink is followed to what it names, but removed itself.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from greenroom.sessions.cleanup_journal import CleanupJournal
from greenroom.workers.patch.disk import Allowed, Disk
from greenroom.workers.patch.errors import PatchWriteError
from greenroom.workers.patch.plan import Effect, PatchPlan
from greenroom.workers.patch.transaction import Staged, Transaction


def apply(plan: PatchPlan, disk: Disk, allowed: Allowed | None = None, leftovers: CleanupJournal | None = None) -> str:
    """Make the changes and return what the model is told. Blocks. Raises `PatchWriteError`.

    `allowed` is asked about every file that is written or removed. A file that is no longer as it was when the plan was
    made is an error too, so nothing that happened since is lost. In `leftovers` is noted what a kill would leave.
    """
    if plan.is_empty:
        raise PatchWriteError("No files were modified.")
    tasks = _tasks(plan)
    for task in tasks:
        _check(task, disk, allowed)
    with Transaction(leftovers or CleanupJournal()) as transaction:
        _carry_out(tasks, transaction)
    return plan.summary


@dataclass(frozen=True, slots=True)
class _Task:
    effect: Effect
    doing: str
    mode: int | None
    """The mode of the file that it was moved from."""


def _tasks(plan: PatchPlan) -> list[_Task]:
    effects = [effect for effect in plan.effects if effect.before != effect.after]
    originals = {effect.moved_from for effect in effects}
    return [_Task(effect, _doing(effect, effect.target in originals), _mode_before(effect)) for effect in effects]


def _doing(effect: Effect, is_original: bool) -> str:
    if effect.after is not None:
        return f"Failed to write file {effect.path}"
    return f"Failed to remove original {effect.path}" if is_original else f"Failed to delete file {effect.path}"


def _mode_before(effect: Effect) -> int | None:
    try:
        return None if effect.moved_from is None else os.stat(effect.moved_from).st_mode
    except OSError:  # then the check of the original finds it gone
        return None


def _check(task: _Task, disk: Disk, allowed: Allowed | None) -> None:
    target = task.effect.target
    if allowed is not None and not allowed(target):
        raise PatchWriteError(f"{task.doing}: {target} is outside of what may be written")
    try:
        now = disk.read(target)
    except OSError as error:
        raise PatchWriteError(f"{task.doing}: {error.strerror or error}") from error
    if now != task.effect.before:
        raise PatchWriteError(f"{task.doing}: it has been changed since the patch was checked; read it again")


def _carry_out(tasks: Sequence[_Task], transaction: Transaction) -> None:
    """Write first and remove last, as removals seldom fail; but a file where a directory is to be has to go first."""
    removals = {task.effect.target: task.doing for task in tasks if task.effect.after is None}
    in_the_way = [target for target in removals if any(other.effect.target.startswith(target + "/") for other in tasks)]
    for target in in_the_way:
        transaction.remove(target, removals.pop(target))
    for staged in [_stage(task, task.effect.after, transaction) for task in tasks if task.effect.after is not None]:
        transaction.put(staged)
    for target, doing in removals.items():
        transaction.remove(target, doing)


def _stage(task: _Task, content: bytes, transaction: Transaction) -> Staged:
    preparing = f"Failed to create parent directories for {task.effect.path}"
    return transaction.stage(task.effect.target, content, task.doing, preparing, task.mode)
