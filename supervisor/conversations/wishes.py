"""What conversations need of the machine that runs them, as far as their overrides and their past tell. Free of I/O."""

import os

import msgspec

from greenroom.config.paths import absolute
from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.conversations.conversation import Conversation
from greenroom.supervisor.processes.nodes.wish import Opening, Wish


class _Overrides(msgspec.Struct, frozen=True):
    """The parts of a conversation's overrides that say where it can run."""

    cwd: str | None = None
    worktree: bool | None = None


def wish_of(conversation: Conversation) -> Wish:
    """Return what a conversation needs. One with a worktree, or that adds nothing to a saved one, stays here."""
    overrides = _overrides(conversation)
    place = conversation.placement
    has_worktree = overrides.worktree or (place is not None and place.worktree is not None)
    return Wish(
        cwd=_named(overrides) or (None if place is None else place.cwd) or _default(conversation),
        last=conversation.node,
        has_run=conversation.incarnation > 1,  # the one that is being placed is counted
        only_here=has_worktree or (conversation.ephemeral and conversation.resume == "must"),
        lacking=conversation.lacking,
    )


def opening_of(conversation: Conversation) -> Opening:
    """Return how a conversation is opened."""
    return Opening(conversation.resume, conversation.path, _named(_overrides(conversation)))


def _overrides(conversation: Conversation) -> _Overrides:
    try:
        return msgspec.json.decode(conversation.overrides, type=_Overrides)
    except (msgspec.MsgspecError, RecursionError):  # reported when the conversation is opened
        return _Overrides()


def _named(overrides: _Overrides) -> str | None:
    """Return the directory that the call names, absolute."""
    if overrides.cwd is None or "\0" in overrides.cwd:
        return None
    try:
        return absolute(os.getcwd(), overrides.cwd, os.environ)
    except ConfigError:
        return None


def _default(conversation: Conversation) -> str | None:
    return os.getcwd() if conversation.resume == "no" else None
