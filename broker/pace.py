"""One pace for all conversations under one rate limit, free of I/O and clocks.

A limit becomes known by a refusal (429 and the like). From then on requests are let through one after another, in the
order in which they asked: none during the wait that the server has asked for, then at the rate that the server has
sustained. Each request that is let through raises the rate a little, since the limit may have been raised. Each refusal
lowers it, though not below the rate measured since the previous refusal. A limit without a refusal for `QUIET` seconds
is forgotten.
"""

import random as standard_random
from collections.abc import Callable, Hashable
from typing import Final

import msgspec

QUIET: Final = 120.0
"""Seconds without a refusal, and since the last wait, after which a limit is forgotten."""
PRESENCE: Final = 5.0
"""Seconds after which a waiting request that has not asked again loses its place."""
FIRST_INTERVAL: Final = 1.0
"""Seconds between two requests while nothing is known of the rate."""
SHORTEST_FIRST: Final = 0.02
"""The same at least, where the server has asked for a shorter wait."""
LONGEST_INTERVAL: Final = 60.0
"""Seconds between two requests at the lowest rate."""
EARLY_GROWTH: Final = 1.3
"""Factor of the rate with each request, until the first refusal that ends a measurement."""
GROWTH: Final = 1.01
"""The same, afterwards."""
CUT: Final = 1.1
"""Factor of the interval with each refusal."""
JITTER: Final = 0.1
"""Share by which intervals vary."""
SHORTEST_STEP: Final = 0.005
"""Seconds for each place in the queue after which a waiting request asks again, at the least.

When the first is late, all others would ask again and again until it has its turn.
"""
BACKOFF: Final = 2.0
"""Intervals of the wait after a refusal that asks for none, doubled with each that follows at once."""
LONGEST_BACKOFF: Final = 30.0
LONGEST_HOLD: Final = 3600.0
"""Seconds; a longer wait that a server asks for is cut to this."""


class QueueAnswer(msgspec.Struct, frozen=True):
    """The answer to a request for a turn."""

    granted: bool
    wait: float = 0.0
    """Seconds until its turn, as far as can be told."""
    serial: int = 0
    """Counts the turns of one limit; to be repeated with a refusal."""


class PaceFigures(msgspec.Struct, frozen=True):
    """One pace at a moment. Times are in seconds."""

    key: str
    """The key of its limit."""
    interval: float
    """Between two requests."""
    waiting: int
    """Requests that wait for their turn."""
    hold: float
    """Until the next request may be sent; 0 if it may be at once."""
    quiet_for: float
    """Since the last refusal."""
    refusals: int
    """Since the limit became known."""


class Pace:
    """The pace under one limit. Times are in seconds of any monotonic clock."""

    def __init__(self, now: float, random: Callable[[], float] = standard_random.random) -> None:
        self._random = random
        self._waiting: dict[Hashable, float] = {}
        """The waiting requests in order, each with the time at which it last asked."""
        self._interval = FIRST_INTERVAL
        self._is_measured = False
        self._next_at = now
        self._heard_at = now
        self._backoff = 1.0
        self._serial = 0
        self._cut_serial = 0
        self._measured_from = now
        self._accepted = 0
        self._refusals = 0

    @property
    def interval(self) -> float:
        """Seconds between two requests."""
        return self._interval

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        return len(self._waiting)

    def figures(self, key: str, now: float) -> PaceFigures:
        """Return how it stands; `key` is that of its limit."""
        self._present(now)
        hold, quiet_for = max(self._next_at - now, 0.0), max(now - self._heard_at, 0.0)
        return PaceFigures(key, self._interval, self.waiting, hold, quiet_for, self._refusals)

    def is_over(self, now: float) -> bool:
        """Whether the limit is to be forgotten."""
        return now - max(self._heard_at, self._next_at) > QUIET and not self._present(now)

    def ask(self, who: Hashable, now: float) -> QueueAnswer:
        """Ask for a turn, or again for the same one. A request keeps its place for `PRESENCE` seconds."""
        self._waiting[who] = now
        self._present(now)
        place = next(place for place, one in enumerate(self._waiting) if one == who)
        if place or now < self._next_at:
            step = max(self._interval, SHORTEST_STEP)
            return QueueAnswer(False, max(self._next_at - now, 0.0) + place * step)
        del self._waiting[who]
        self._serial += 1
        self._accepted += 1
        self._interval /= GROWTH if self._is_measured else EARLY_GROWTH
        self._next_at = now + self._interval * (1 + JITTER * (2 * self._random() - 1))
        return QueueAnswer(True, serial=self._serial)

    def is_waiting(self, who: Hashable) -> bool:
        """Whether this request has a place."""
        return who in self._waiting

    def leave(self, who: Hashable) -> None:
        """Give up a place."""
        self._waiting.pop(who, None)

    def refused(self, wait: float | None, serial: int, now: float, who: Hashable = None) -> None:
        """Learn that the server has refused the request of a turn; `serial` is 0 for one that had none.

        `who` is next then, unless it never had a turn.

        `wait`: seconds that it asks for, `None` where it does not say.
        """
        self._heard_at = now
        self._refusals += 1
        is_news = serial > self._cut_serial
        if serial:
            if who is not None:
                self._waiting = {who: now, **self._waiting}
            self._accepted = max(self._accepted - 1, 0)
        if wait is None:
            self._backoff = 1.0 if self._accepted else self._backoff * 2
            wait = min(BACKOFF * self._backoff * self._interval, LONGEST_BACKOFF) if is_news or not serial else 0.0
        elif not self._serial:  # a short wait tells of a high rate
            self._interval = min(self._interval, max(wait, SHORTEST_FIRST))
        until = now + min(wait, LONGEST_HOLD)
        self._next_at = max(self._next_at, until)
        if is_news:
            self._measure()
            self._cut_serial = self._serial

    def _measure(self) -> None:
        """Take the rate that was sustained since the last refusal, up to the end of the wait."""
        elapsed = self._next_at - self._measured_from
        if self._accepted and elapsed > 0:
            sustained = max(elapsed / self._accepted, self._interval)
            self._interval = min(self._interval * CUT, sustained, LONGEST_INTERVAL)
            self._is_measured = True
        else:
            self._interval = min(self._interval * CUT, LONGEST_INTERVAL)
        self._measured_from, self._accepted = self._next_at, 0

    def _present(self, now: float) -> bool:
        """Drop the requests that are no longer repeated; return whether any is left."""
        for who in [who for who, asked_at in self._waiting.items() if now - asked_at > PRESENCE]:
            del self._waiting[who]
        return bool(self._waiting)


class Paces:
    """The limits that are known, each under the key of a provider and an account."""

    def __init__(self, random: Callable[[], float] = standard_random.random) -> None:
        self._random = random
        self._paces: dict[str, Pace] = {}

    def find(self, key: str, now: float) -> Pace | None:
        """Return the pace under a limit, `None` where none is known."""
        self._forget(now)
        return self._paces.get(key)

    def known(self, now: float) -> tuple[str, ...]:
        """Return the keys of all limits."""
        self._forget(now)
        return tuple(self._paces)

    def figures(self, now: float) -> tuple[PaceFigures, ...]:
        """Return how each limit stands, those first that became known first."""
        self._forget(now)
        return tuple(pace.figures(key, now) for key, pace in self._paces.items())

    def refused(self, key: str, wait: float | None, serial: int, now: float, who: Hashable = None) -> bool:
        """Learn of a refusal; return whether the limit was not known before."""
        pace = self.find(key, now)
        is_new = pace is None
        if pace is None:
            pace = self._paces[key] = Pace(now, self._random)
        pace.refused(wait, serial, now, who)
        return is_new

    def _forget(self, now: float) -> None:
        for over in [key for key, pace in self._paces.items() if pace.is_over(now)]:
            del self._paces[over]

    def leave(self, is_gone: Callable[[Hashable], bool]) -> None:
        """Give up the places of all requests of workers that are gone."""
        for pace in self._paces.values():
            for who in [who for who in pace._waiting if is_gone(who)]:  # noqa: SLF001 - of this very module
                pace.leave(who)
