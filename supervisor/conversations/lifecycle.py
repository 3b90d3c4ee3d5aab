"""The lifecycle of a conversation as data: its states, its events, and the table of transitions. Free of I/O."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from greenroom.protocol.errors import LocalProtocolError

State: TypeAlias = Literal["new", "starting", "idle", "running", "parking", "parked", "crashed", "failed", "closed"]

MEANINGS: Final[Mapping[State, str]] = {
    "new": "entered, and not yet given a process",
    "starting": "waits for a process, or for the process to open it",
    "idle": "has a process that waits for the next turn",
    "running": "has a process that runs a turn",
    "parking": "its process saves and leaves",
    "parked": "lives in its session file alone; the next turn brings it back",
    "crashed": "its process died; the next turn brings it back",
    "failed": "its process died too often in a short time; it is left alone until that time is over",
    "closed": "over",
}

LifecycleEvent: TypeAlias = Literal[
    "placed", "opened", "open_failed", "turn_started", "turn_ended", "park_asked", "died", "died_too_often", "closed"
]

TRANSITIONS: Final[Mapping[tuple[State, LifecycleEvent], State]] = {
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

WITH_PROCESS: Final[frozenset[State]] = frozenset({"starting", "idle", "running", "parking"})
"""The states in which the conversation has a process, or one is being started for it."""

WAITING_FOR_PLACE: Final[frozenset[State]] = frozenset({"new", "parked", "crashed", "failed"})
"""The states in which a turn makes the conversation acquire a process."""


def after(state: State, happening: LifecycleEvent) -> State:
    """Return the next state. Raises `LocalProtocolError` where the event is not possible in `state`."""
    try:
        return TRANSITIONS[state, happening]
    except KeyError:
        raise LocalProtocolError(f"a conversation that is {state} cannot be {happening}") from None
