"""What conversations need of the machine that runs them, as far as their overrides and their past tell. Free of I/O."""

import os
from typing import Final

import msgspec

from greenroom.config.paths import resolve_path
from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.processes.nodes.wish import Needs, Opening, Wish

OWN_TABLE: Final = "greenroom"
TABLES: Final = ("model_providers", "mcp_servers")
"""Those that may name credentials."""


class _Overrides(msgspec.Struct, frozen=True):
    """The parts of a conversation's overrides that say where it can run."""

    cwd: str | None = None
    worktree: bool | None = None
    config: dict[str, object] | None = None


def wish_of(conversation: Conversation) -> Wish:
    """Return what a conversation needs.

    One with a worktree, or that adds nothing to a saved one, stays here, and so does one whose call names variables or
    programs with credentials itself: on nodes only those that the home's settings name can be had.
    """
    overrides = _overrides(conversation)
    place = conversation.placement
    has_worktree = overrides.worktree or (place is not None and place.worktree is not None)
    return Wish(
        cwd=_named(overrides) or (None if place is None else place.cwd) or _default(conversation),
        last=conversation.node,
        has_run=conversation.incarnation > 1,  # the one that is being placed is counted
        only_here=has_worktree
        or (conversation.ephemeral and conversation.resume == "must")
        or _names_credentials(overrides.config),
        lacking=conversation.lacking,
        needs=_needs(overrides),
    )


def opening_of(conversation: Conversation) -> Opening:
    """Return how a conversation is opened."""
    return Opening(
        conversation.resume,
        conversation.path,
        _named(_overrides(conversation)),
        conversation.overrides,
        conversation.ephemeral,
    )


def needs_of(overrides: bytes) -> Needs:
    """Return the resources that a call names, of its overrides as JSON."""
    return _needs(_read(overrides))


def _overrides(conversation: Conversation) -> _Overrides:
    return _read(conversation.overrides)


def _read(overrides: bytes) -> _Overrides:
    try:
        return msgspec.json.decode(overrides, type=_Overrides)
    except (msgspec.MsgspecError, RecursionError):  # reported when the conversation is opened
        return _Overrides()


def _needs(overrides: _Overrides) -> Needs:
    """Return the resources that the call names (`greenroom.resources`); what is none is refused by the worker."""
    if not any(key.partition(".")[0] == OWN_TABLE for key in overrides.config or ()):
        return ()
    from greenroom.config.overrides import assign, config_assignments  # not needed by most calls

    table: dict[str, object] = {}
    try:
        for assignment in config_assignments(overrides.config or {}):
            assign(table, assignment)
        own = table.get(OWN_TABLE)
        found = msgspec.convert(own.get("resources", {}) if isinstance(own, dict) else {}, dict[str, float])
    except (ConfigError, msgspec.ValidationError):
        return ()
    return tuple(sorted((name, amount) for name, amount in found.items() if amount > 0))


def _names_credentials(config: dict[str, object] | None) -> bool:
    if not any(key.startswith(TABLES) for key in config or ()):
        return False
    from greenroom.config.secrets.named_credentials import names_credentials  # not needed by most calls

    try:
        return names_credentials(config or {})
    except ConfigError:  # reported when the conversation is opened
        return False


def _named(overrides: _Overrides) -> str | None:
    """Return the directory that the call names, absolute."""
    if overrides.cwd is None or "\0" in overrides.cwd:
        return None
    try:
        return resolve_path(os.getcwd(), overrides.cwd, os.environ)
    except ConfigError:
        return None


def _default(conversation: Conversation) -> str | None:
    return os.getcwd() if conversation.resume == "no" else None
