"""Gives a conversation that is being opened the git worktree that it was asked for, or that it has."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from greenroom.config.settings import ConversationOverrides
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker.notices import HEARTBEAT
from greenroom.protocol.internal.worker.operations import Open
from greenroom.workers.conversation.turn.turn_settings import ConversationSettings
from greenroom.workers.repeating_timer import RepeatingTimer
from greenroom.workers.worktree.record import FOLDER, WorktreePlace

if TYPE_CHECKING:
    from greenroom.workers.worktree.worktree import Workplace

NOT_LATER = "a worktree can be asked for only where a conversation begins\nin `worktree`"


async def conversation_worktree(
    operation: Open,
    spec: WorkerSpec,
    cli: Sequence[str],
    overrides: ConversationOverrides,
    on_wait: Callable[[], None],
) -> "Workplace | None":
    """Return the worktree of a conversation; `None` if it has none and was not asked to have one.

    `on_wait` is called every `HEARTBEAT` seconds meanwhile. Raises `ConfigError` where it cannot be made, or made
    again.
    """
    if not overrides.worktree and not _has_one(spec.codex_home, operation.conversation_id):
        return None
    heartbeat = RepeatingTimer(on_wait, HEARTBEAT)
    try:
        return await _present_worktree(operation, spec, cli, overrides)
    finally:
        heartbeat.stop()


async def _present_worktree(
    operation: Open, spec: WorkerSpec, cli: Sequence[str], overrides: ConversationOverrides
) -> "Workplace | None":
    from greenroom.workers.worktree.worktree import Worktree

    worktree = Worktree(spec.codex_home, spec.runtime_directory, operation.conversation_id)
    found = await worktree.restore()
    if found is not None or not overrides.worktree:
        return found
    if operation.resume == "must":
        raise ConfigError(NOT_LATER)
    return await worktree.make(ConversationSettings(spec.codex_home, cli, overrides).value.cwd)


def _has_one(home: str, conversation_id: ConversationId) -> bool:
    """Tell whether there is a folder for the worktree of a conversation; most homes have none at all."""
    return os.path.isdir(os.path.join(home, FOLDER)) and os.path.isdir(WorktreePlace(home, conversation_id).folder)
