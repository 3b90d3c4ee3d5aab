"""What conversations on nodes may do: resolved on the host from what was asked for and its own settings.

A node resolves the same for its worker. What it tells of that counts for nothing, neither in session records nor in the
announcement of a conversation.
"""

import os
from collections.abc import Sequence

import msgspec

from greenroom.config.paths import resolve_path
from greenroom.config.settings import ConversationOverrides, Settings, resolve_settings
from greenroom.config.texts import base_instructions
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.internal.worker.notices import Opened
from greenroom.protocol.internal.worker.operations import TurnSettings
from greenroom.protocol.version import __version__
from greenroom.runtime.originator import originator
from greenroom.sessions.records.format import SessionRecord, session_meta
from greenroom.sessions.records.restored import Restored
from greenroom.sessions.records.resumed_settings import resumed_settings
from greenroom.sessions.storage.received import TurnAuthority
from greenroom.supervisor.processes.nodes.wish import Opening
from greenroom.workers.conversation.events.event import encode, session_configured
from greenroom.workers.conversation.turn.turn_settings import turn_policy


class Authority(TurnAuthority, frozen=True, kw_only=True):
    """What a conversation may do in turns that override nothing, and where it may ask for answers."""

    settings: Settings
    """That it follows from."""

    def of_turn(self, wanted: TurnSettings | None) -> TurnAuthority:
        """Return what a turn with these overrides may do. Raises `ConfigError`."""
        if wanted is None:
            return self
        cwd = resolve_path(self.cwd, wanted.cwd, os.environ)
        return TurnAuthority(
            cwd=cwd,
            model=wanted.model,
            approval_policy=wanted.approval_policy,
            sandbox_policy=turn_policy(wanted.sandbox_policy, cwd),
        )

    def announced(self, notice: Opened, session_path: str) -> tuple[Opened, bytes]:
        """Return the notice of a worker that has opened the conversation, and its event `session_configured`."""
        configured = session_configured(notice.conversation_id, self.settings, session_path)
        told = msgspec.structs.replace(notice, model=self.model, cwd=self.cwd, session_path=session_path, worktree=None)
        return told, encode(configured)


class AuthorityResolver:
    """Of one home and one command line."""

    def __init__(self, home: str, cli: Sequence[str]) -> None:
        self._home = home
        self._cli = cli

    def of_new(
        self, opening: Opening, conversation_id: ConversationId, started: float
    ) -> tuple[Authority, SessionRecord]:
        """Return that of a conversation without a session, and the first record of its session.

        `started` is in seconds since the epoch. Raises `ConfigError`.
        """
        overrides = _overrides(opening)
        settings = self._settings(overrides)
        metadata = session_meta(
            conversation_id=conversation_id,
            started=started,
            cwd=settings.cwd,
            originator=originator(os.environ),
            cli_version=__version__,
            model_provider=settings.provider_id,
            base_instructions=settings.base_instructions or base_instructions(),
            model=settings.model if settings.base_instructions is None else None,
            source=overrides.source,
            thread_source=overrides.thread_source,
            began_with={
                "approval_policy": settings.approval_policy,
                "sandbox_mode": settings.sandbox_policy.type,
            },
        )
        return _authority(settings), metadata

    def of_resumed(self, opening: Opening, restored: Restored) -> Authority:
        """Return that of a conversation that goes on from its session. Raises `ConfigError`."""
        return _authority(self._settings(resumed_settings(_overrides(opening), restored)))

    def _settings(self, overrides: ConversationOverrides) -> Settings:
        return resolve_settings(self._home, self._cli, overrides, os.getcwd(), os.environ)


def _overrides(opening: Opening) -> ConversationOverrides:
    overrides = ConversationOverrides.from_json(opening.overrides)
    return overrides if opening.cwd is None else msgspec.structs.replace(overrides, cwd=opening.cwd)


def _authority(settings: Settings) -> Authority:
    return Authority(
        cwd=settings.cwd,
        model=settings.model,
        approval_policy=settings.approval_policy,
        sandbox_policy=settings.sandbox_policy,
        settings=settings,
    )
