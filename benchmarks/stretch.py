"""One part of a soak: what was played, what the server held before and after it, and what of that must not be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.crowd import Account
from benchmarks.holdings import Holdings

TREND: Final = 512 * 1024
"""Bytes by which the least memory of the second half of the looks may exceed that of the first half.

The least, because what is free is given back as whole pages only: which of them are in use differs from look to look.
Of 1,600 conversations half lie between the two. If each left 1 kB behind, these came to 800 kB.
"""
PER_CONVERSATION: Final = 20_000
"""Bytes by which the supervisor may grow for each conversation that it is to know."""
DRIFT: Final = 4_000_000
"""Bytes by which the private memory of a process may differ besides."""
WATCHED: Final = 5
"""Descriptors that a supervisor may need more: for its log, and for each process that has outlived its fork server."""
_WATCHED_ROLES: Final = ("supervisor", "fork_server", "broker")


@dataclass(frozen=True, slots=True)
class Stretch:
    """One part of a soak: what was played, and what the server held before and after it."""

    title: str
    conversations: int
    newcomers: int
    """Those that the server did not know before, and knows afterwards."""
    seconds: float
    account: Account
    before: Holdings
    after: Holdings
    looks: tuple[Holdings, ...] = ()
    """What it held in between, at equal distances, where its memory has to stay as it is."""

    @property
    def per_conversation(self) -> float:
        """Bytes by which the supervisor grew for each conversation that is new to it."""
        return self.growth / self.newcomers if self.newcomers else 0.0

    @property
    def growth(self) -> int:
        """Bytes by which the supervisor grew."""
        return self.after.memory["supervisor"] - self.before.memory["supervisor"]

    @property
    def trends(self) -> dict[str, int]:
        """Bytes by which processes grew whose memory was watched, from the first half of the looks to the other."""
        half = len(self.looks) // 2
        roles = [role for role in _WATCHED_ROLES if half and all(role in look.memory for look in self.looks)]
        return {role: _least(self.looks[half:], role) - _least(self.looks[:half], role) for role in roles}

    def faults(self) -> list[str]:
        """Return what must not be, in words."""
        found = [*self.account.violations, *self._growth()]
        if self.after.files > self.before.files:
            found.append(f"files: {self.before.files} before, {self.after.files} after")
        for what in ("processes", "threads"):
            was, is_now = (self._comparable(getattr(look, what)) for look in (self.before, self.after))
            if was != is_now:
                found.append(f"{what}: {was} before, {is_now} after")
        return found

    def _comparable(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Leave out what stays of a fork server that was killed as long as a worker is left that it had forked."""
        left_out = {"gr-zygote"} if self.account.killed["fork_server"] else set()
        return {name: count for name, count in counts.items() if name not in left_out}

    def _growth(self) -> Iterator[str]:
        """What outlives its fork server has the memory to itself that it shared with it, so it is not looked at
        then."""
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


def _least(looks: Sequence[Holdings], role: str) -> int:
    return min(look.memory[role] for look in looks)
