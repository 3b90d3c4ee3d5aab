"""How processes of ours died: what is remembered of it, and how it is put into words."""

import signal
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from protocol.birth import Exited
from protocol.ids import ConversationId, WorkerId

REMEMBERED = 100
"""Deaths that are kept."""


@dataclass(frozen=True, slots=True)
class Death:
    """One death."""

    at: float
    """Seconds since the epoch."""
    process: WorkerId
    pid: int
    cause: str
    """In words."""
    max_rss: int
    """Largest resident memory of its life, in bytes."""
    conversation_id: ConversationId | None = None
    doing: str | None = None
    """What it was doing, as far as it had said."""


@dataclass(slots=True)
class Obituaries:
    """The last deaths that nobody asked for, newest last."""

    _deaths: deque[Death] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def enter(
        self, exited: Exited, why: str, conversation_id: ConversationId | None = None, doing: str | None = None
    ) -> Death:
        """Remember a death."""
        death = Death(time.time(), exited.id, exited.pid, why, exited.max_rss, conversation_id, doing)
        self._deaths.append(death)
        return death

    def __iter__(self) -> Iterator[Death]:
        return iter(self._deaths)

    def of(self, conversation_id: ConversationId) -> Death | None:
        """Return the last death in one conversation."""
        return next((death for death in reversed(self._deaths) if death.conversation_id == conversation_id), None)


def cause(exited: Exited) -> str:
    """Say how a process ended, such as `signal 9 (SIGKILL)` or `exit status 1`."""
    if exited.returncode >= 0:
        return f"exit status {exited.returncode}"
    number = -exited.returncode
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def facts(exited: Exited) -> dict[str, object]:
    """Return the same for programs."""
    by_signal = exited.returncode < 0
    return {
        "signal": -exited.returncode if by_signal else None,
        "exitCode": None if by_signal else exited.returncode,
        "pid": exited.pid,
    }
