"""Applies a plan to the disk: all of it or, if anything is rejected, none of it.

A file keeps its mode, and as far as permitted its owner and extended attributes. A file with several hard links is
replaced and so loses its other names, as with most editors. A symlink is followed when writing, but removed itself.
"""

import os
from collections.abc import Sequence

import msgspec

from greenroom.sessions.storage.cleanup_journal import CleanupJournal
from greenroom.workers.patch.disk import Allowed, Disk
from greenroom.workers.patch.errors import PatchWriteError
from greenroom.workers.patch.plan import Effect, PatchPlan
from greenroom.workers.patch.transaction import Staged, Transaction


def apply_plan(
    plan: PatchPlan, disk: Disk, allowed: Allowed | None = None, journal: CleanupJournal | None = None
) -> str:
    """Make the changes and return the message for the model. Blocks. Raises `PatchWriteError`.

    `allowed` is asked about every file that is written or removed. A file that has changed since the plan was made is
    an error too, so that no later change is lost. `journal` records what a kill would leave behind.
    """
    if plan.is_empty:
        raise PatchWriteError("No files were modified.")
    tasks = _tasks(plan)
    for task in tasks:
        _check(task, disk, allowed)
    with Transaction(journal or CleanupJournal()) as transaction:
        _carry_out(tasks, transaction)
    return plan.summary


class _Task(msgspec.Struct, frozen=True):
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
    except OSError:  # the check of the original will then report that it is gone
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
    """Write first and remove last, since removals seldom fail; but a file that is replaced by a directory has to go
    first."""
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
