"""Calls, the conversations and nodes that they belong to, and the tally of what became of them."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import simpy

Start: TypeAlias = Literal["new", "resume", "reply"]


@dataclass(eq=False, slots=True)
class Node:
    """One node: its conversations that run, and those that have a process and nothing to do."""

    number: int
    state: Literal["ready", "draining", "lost"] = "ready"
    running: "dict[Call, None]" = field(default_factory=dict)
    idle: int = 0

    @property
    def workers(self) -> int:
        """Conversations with a process."""
        return len(self.running) + self.idle


@dataclass(eq=False, slots=True)
class Conversation:
    """One that is live, or has been in this run."""

    node: Node | None = None
    """Where its process is; `None` while it has none."""


@dataclass(eq=False, slots=True)
class Call:
    """A turn, from the call to its answer."""

    conversation: Conversation
    start: Start
    at: float
    lost: simpy.Event
    is_open: bool = True

    def has_ended(self) -> bool:
        """Tell whether it was answered, or lost."""
        return not self.is_open


@dataclass(slots=True)
class Tally:
    """What has happened since the warm-up; a call is answered, lost with its node or host, or still open."""

    submitted: int = 0
    answered: int = 0
    lost: int = 0
    failures: int = 0
    parked: int = 0
    delays: list[float] = field(default_factory=list)
    """From calls to the begin of their turns."""
    recoveries: list[float] = field(default_factory=list)
    """From the loss of a host until as many turns run as before it."""
