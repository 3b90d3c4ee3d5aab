"""One part of a soak: what was run, the server's resources before and after, and violations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.load import Account
from benchmarks.resources import Resources

TREND: Final = 512 * 1024
"""Bytes by which the minimum memory in the second half of the measurements may exceed that in the first half.

The minimum, because free memory is returned only in whole pages, whose number varies between measurements. Of 1,600
conversations half are between the two; 1 kB left by each would add up to 800 kB.
"""
PER_CONVERSATION: Final = 20_000
"""Bytes by which the supervisor may grow for each conversation that it remembers."""
DRIFT: Final = 4_000_000
"""Bytes by which the private memory of a process may grow otherwise."""
WATCHED: Final = 5
"""Additional descriptors that a supervisor may need: for its log, and for each process that has outlived its fork
server."""
_WATCHED_ROLES: Final = ("supervisor", "fork_server", "broker")


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a soak: what was run, and the server's resources before and after."""

    title: str
    conversations: int
    newcomers: int
    """Conversations that the server remembers only since this phase."""
    seconds: float
    account: Account
    before: Resources
    after: Resources
    looks: tuple[Resources, ...] = ()
    """Measurements in between, at equal intervals, during which its memory must not grow."""

    @property
    def per_conversation(self) -> float:
        """Bytes by which the supervisor grew for each newly remembered conversation."""
        return self.growth / self.newcomers if self.newcomers else 0.0

    @property
    def growth(self) -> int:
        """Bytes by which the supervisor grew."""
        return self.after.memory["supervisor"] - self.before.memory["supervisor"]

    @property
    def trends(self) -> dict[str, int]:
        """Bytes by which the watched processes grew, from the first half of the measurements to the second."""
        half = len(self.looks) // 2
        roles = [role for role in _WATCHED_ROLES if half and all(role in look.memory for look in self.looks)]
        return {role: _least(self.looks[half:], role) - _least(self.looks[:half], role) for role in roles}

    def faults(self) -> list[str]:
        """Return the violations, as text."""
        faults = [*self.account.violations, *self._growth()]
        if self.after.files > self.before.files:
            faults.append(f"files: {self.before.files} before, {self.after.files} after")
        for what in ("processes", "threads"):
            was, is_now = (self._comparable(getattr(look, what)) for look in (self.before, self.after))
            if was != is_now:
                faults.append(f"{what}: {was} before, {is_now} after")
        return faults

    def _comparable(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Ignore what remains of a killed fork server while a worker that it had forked is alive."""
        left_out = {"gr-zygote"} if self.account.killed["fork_server"] else set()
        return {name: count for name, count in counts.items() if name not in left_out}

    def _growth(self) -> Iterator[str]:
        """A process that outlives its fork server becomes the only user of formerly shared memory, so it is not
        measured then."""
        for role, count in self.after.descriptors.items():
            if count - (was := self.before.descriptors.get(role, count)) > WATCHED:
                yield f"descriptors of the {role}: {was} before, {count} after"
        for role, size in self.after.memory.items():
            was = self.before.memory.get(role, size)
            if self.account.killed["fork_server"] and role != "supervisor":
                continue
            if size - was > DRIFT + (self.newcomers * PER_CONVERSATION if role == "supervisor" else 0):
                yield f"private memory of the {role.replace('_', ' ')}: {was:,} bytes before, {size:,} after"
        for role, trend in self.trends.items():
            if trend > TREND:
                yield f"private memory of the {role.replace('_', ' ')} grows: by {trend:,} bytes while it was watched"


def _least(looks: Sequence[Resources], role: str) -> int:
    return min(look.memory[role] for look in looks)
