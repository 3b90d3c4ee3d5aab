"""The lifecycle of a process that all conversations need, the fork server or the auth broker.

Its states, events and transitions as data. Free of I/O and clocks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from greenroom.protocol.errors import LocalProtocolError

ServicePhase: TypeAlias = Literal["starting", "ready", "restarting", "given_up"]

MEANINGS: Final[Mapping[ServicePhase, str]] = {
    "starting": "started, not ready yet",
    "ready": "serving requests",
    "restarting": "died; a replacement will be started",
    "given_up": "died too often in a short time and is not restarted; this happens only to the auth broker",
}

ServiceEvent: TypeAlias = Literal["came_up", "died", "died_too_often", "started"]

TRANSITIONS: Final[Mapping[tuple[ServicePhase, ServiceEvent], ServicePhase]] = {
    ("starting", "came_up"): "ready",
    ("starting", "died"): "restarting",
    ("ready", "died"): "restarting",
    ("restarting", "died_too_often"): "given_up",
    ("restarting", "started"): "starting",
}


def next_service_state(state: ServicePhase, happening: ServiceEvent) -> ServicePhase:
    """Return the next state. Raises `LocalProtocolError` where the event is not possible in `state`."""
    try:
        return TRANSITIONS[state, happening]
    except KeyError:
        raise LocalProtocolError(f"a helper that is {state} cannot have {happening}") from None


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """Status of such a process."""

    state: ServicePhase
    pid: int | None
    """`None` while there is no process."""
    deaths: int
    """Deaths that count towards giving it up at the moment."""
    restarts: int = field(default=0, compare=False)
    """Processes so far that took the place of one that died."""


class Policy(Protocol):
    """A restart policy (`greenroom.runtime.restart`)."""

    def on_death(self, now: float) -> float | None:
        """Return the seconds to wait before the restart, `None` where there is to be none."""

    def deaths_in_period(self, now: float) -> int:
        """Return how many deaths count at the moment."""
        ...


class ServiceState:
    """The successive processes of one role. Times are seconds of any monotonic clock."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._state: ServicePhase = "starting"
        self._restarts = 0

    @property
    def state(self) -> ServicePhase:
        """Its state."""
        return self._state

    def came_up(self) -> None:
        """Note that it serves; further calls have no effect."""
        if self._state != "ready":
            self._state = next_service_state(self._state, "came_up")

    def died(self) -> None:
        """Note its death, or that it could not be started."""
        self._state = next_service_state(self._state, "died")

    def delay(self, now: float) -> float | None:
        """Count the death; return the seconds to wait before the next start, `None` if it is given up."""
        delay = self._policy.on_death(now)
        if delay is None:
            self._state = next_service_state(self._state, "died_too_often")
        return delay

    def started(self) -> None:
        """Note that the next one was started."""
        self._state = next_service_state(self._state, "started")
        self._restarts += 1

    def status(self, pid: int | None, now: float) -> ServiceStatus:
        """Return its status; `pid` is that of its process, if there is one."""
        is_there = self._state in ("starting", "ready")
        return ServiceStatus(self._state, pid if is_there else None, self._policy.deaths_in_period(now), self._restarts)
