"""The lifecycle of a conversation as data: its states, its events, and the table of transitions. Free of I/O."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from greenroom.protocol.errors import LocalProtocolError

LifecycleState: TypeAlias = Literal[
    "new", "starting", "idle", "running", "parking", "parked", "crashed", "failed", "closed"
]

MEANINGS: Final[Mapping[LifecycleState, str]] = {
    "new": "registered, has no process yet",
    "starting": "waiting for a process, or for the process to load it",
    "idle": "has a process, waiting for the next turn",
    "running": "has a process that is running a turn",
    "parking": "its process is saving and exiting",
    "parked": "exists only as a session file; the next turn restores it",
    "crashed": "its process died; the next turn restores it",
    "failed": "its process died too often in a short time; no new one is started until that time is over",
    "closed": "ended",
}

LifecycleEvent: TypeAlias = Literal[
    "placed", "opened", "open_failed", "turn_started", "turn_ended", "park_asked", "died", "died_too_often", "closed"
]

TRANSITIONS: Final[Mapping[tuple[LifecycleState, LifecycleEvent], LifecycleState]] = {
    ("new", "placed"): "starting",
    ("starting", "opened"): "idle",
    ("starting", "open_failed"): "closed",
    ("idle", "turn_started"): "running",
    ("running", "turn_ended"): "idle",
    ("idle", "park_asked"): "parking",
    ("parking", "died"): "parked",
    ("starting", "died"): "crashed",
    ("idle", "died"): "crashed",
    ("running", "died"): "crashed",
    ("crashed", "died_too_often"): "failed",
    ("parked", "placed"): "starting",
    ("crashed", "placed"): "starting",
    ("failed", "placed"): "starting",
    ("new", "closed"): "closed",
    ("starting", "closed"): "closed",
    ("idle", "closed"): "closed",
    ("running", "closed"): "closed",
    ("parking", "closed"): "closed",
    ("parked", "closed"): "closed",
    ("crashed", "closed"): "closed",
    ("failed", "closed"): "closed",
}

WITH_PROCESS: Final[frozenset[LifecycleState]] = frozenset({"starting", "idle", "running", "parking"})
"""The states in which the conversation has a process, or one is being started for it."""

WAITING_FOR_SLOT: Final[frozenset[LifecycleState]] = frozenset({"new", "parked", "crashed", "failed"})
"""The states in which a turn makes the conversation acquire a process."""

WITHOUT_ITS_PROCESS: Final[frozenset[LifecycleState]] = frozenset({"crashed", "failed"})
"""The states in which another process is to take the place of one that died."""


def after(state: LifecycleState, happening: LifecycleEvent) -> LifecycleState:
    """Return the next state. Raises `LocalProtocolError` where the event is not possible in `state`."""
    try:
        return TRANSITIONS[state, happening]
    except KeyError:
        raise LocalProtocolError(f"a conversation that is {state} cannot be {happening}") from None
