"""The life of a conversation as data: its states, what can happen to it, and which state follows. Free of I/O."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from protocol.errors import LocalProtocolError

State: TypeAlias = Literal["new", "starting", "idle", "running", "crashed", "closed"]

Happening: TypeAlias = Literal["placed", "opened", "open_failed", "turn_started", "turn_ended", "died", "closed"]

TRANSITIONS: Final[Mapping[tuple[State, Happening], State]] = {
    ("new", "placed"): "starting",
    ("new", "closed"): "closed",
    ("starting", "opened"): "idle",
    ("starting", "open_failed"): "closed",
    ("starting", "died"): "crashed",
    ("starting", "closed"): "closed",
    ("idle", "turn_started"): "running",
    ("idle", "died"): "crashed",
    ("idle", "closed"): "closed",
    ("running", "turn_ended"): "idle",
    ("running", "died"): "crashed",
    ("running", "closed"): "closed",
    ("crashed", "placed"): "starting",
    ("crashed", "closed"): "closed",
}

WITH_PROCESS: Final[frozenset[State]] = frozenset({"starting", "idle", "running"})
"""The states in which a worker belongs to the conversation."""


def after(state: State, happening: Happening) -> State:
    """Return the state that follows. Raises `LocalProtocolError` where nothing of the kind can happen in `state`."""
    try:
        return TRANSITIONS[state, happening]
    except KeyError:
        raise LocalProtocolError(f"a conversation that is {state} cannot be {happening}") from None
