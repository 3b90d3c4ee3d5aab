"""Conversations under one rate limit wait in turn; none fails, and the rate that the server allows is used."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.pace import LONGEST_HOLD, LONGEST_INTERVAL, PRESENCE, QUIET, Pace, PaceFigures, Paces
from greenroom.broker.pace_service import LONGEST_NAP, SHORTEST_NAP


class Limiter(Protocol):
    def ask(self, now: float) -> float | None:
        """Return `None` for a request that is let in, else the seconds to wait."""


class FixedWindow:
    """N requests from each full minute to the next."""

    def __init__(self, allowed: int, period: float) -> None:
        self.allowed, self.period = allowed, period
        self.window, self.count = -1, 0

    def ask(self, now: float) -> float | None:
        window = int(now / self.period)
        if window != self.window:
            self.window, self.count = window, 0
        self.count += 1
        return None if self.count <= self.allowed else (window + 1) * self.period - now


class SlidingWindow:
    """N requests in whichever minute."""

    def __init__(self, allowed: int, period: float) -> None:
        self.allowed, self.period = allowed, period
        self.times: deque[float] = deque()

    def ask(self, now: float) -> float | None:
        while self.times and now - self.times[0] >= self.period:
            self.times.popleft()
        if len(self.times) < self.allowed:
            self.times.append(now)
            return None
        return self.times[0] + self.period - now


class Bucket:
    """A bucket of a tenth of N that fills evenly."""

    def __init__(self, allowed: int, period: float) -> None:
        self.rate, self.most = allowed / period, max(allowed / 10, 1.0)
        self.level, self.at = self.most, 0.0

    def ask(self, now: float) -> float | None:
        self.level = min(self.most, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level >= 1 - 1e-9:
            self.level -= 1
            return None
        return (1 - self.level) / self.rate


class Played(NamedTuple):
    accepted: list[float]
    """When requests were let in."""
    done: list[int]
    """How many of each conversation were."""
    refusals: int
    asked: int
    """How often a turn was asked for."""


def simulate(limiter: Limiter, conversations: int, seconds: float, *, tells: bool = True, delay: float = 0.2) -> Played:
    """Let conversations ask one request after another, which wait as they do in the broker."""
    rng = random.Random(1)
    paces = Paces(rng.random)
    limited = False
    """Everyone is told when a limit becomes known."""
    accepted: list[float] = []
    done, refusals, asked = [0] * conversations, 0, 0
    agenda = [(rng.random(), who) for who in range(conversations)]
    heapq.heapify(agenda)
    while agenda and agenda[0][0] < seconds:
        now, who = heapq.heappop(agenda)
        pace = paces.find("k", now) if limited else None
        turn = None if pace is None else pace.ask(who, now)
        asked += turn is not None
        if turn is not None and not turn.granted:
            heapq.heappush(agenda, (now + max(min(turn.wait, LONGEST_NAP), SHORTEST_NAP), who))
            continue
        if (wait := limiter.ask(now)) is None:
            accepted.append(now)
            done[who] += 1
            heapq.heappush(agenda, (now + delay, who))
            continue
        refusals += 1
        limited = True
        paces.refused("k", wait if tells else None, 0 if turn is None else turn.serial, now, who)
        heapq.heappush(agenda, (now + 0.001, who))
    return Played(accepted, done, refusals, asked)


LIMITERS: dict[str, Callable[[int, float], Limiter]] = {
    "fixed window": FixedWindow,
    "sliding window": SlidingWindow,
    "bucket": Bucket,
}


@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("allowed", [10, 60, 300, 1500])
def test_a_hundred_conversations_share_what_a_minute_allows(limiter: str, allowed: int) -> None:
    minutes = 10 if allowed < 100 else 5
    accepted, done, refusals, asked = simulate(LIMITERS[limiter](allowed, 60.0), 100, 60.0 * minutes)
    settled = [at for at in accepted if at >= 120.0]
    assert len(settled) >= (0.9 if allowed > 10 else 0.8) * allowed * (minutes - 2)
    assert refusals <= 100 + 0.4 * len(accepted), "most requests are let in"
    assert min(done) >= 0.5 * len(accepted) / 100 - 2, "nobody starves"
    assert asked <= 1.5 * 100 * 60.0 * minutes / LONGEST_NAP + 10 * len(accepted), "nobody asks without need"


@pytest.mark.parametrize("limiter", LIMITERS)
def test_a_server_that_says_nothing_of_its_limit_is_used_nearly_as_well(limiter: str) -> None:
    accepted, done, refusals, _ = simulate(LIMITERS[limiter](300, 60.0), 100, 600.0, tells=False)
    assert len([at for at in accepted if at >= 120.0]) >= 0.75 * 300 * 8
    assert refusals <= 100 + 0.4 * len(accepted)
    assert min(done)


def test_turns_are_granted_in_the_order_in_which_they_were_asked_for() -> None:
    pace = Pace(0.0, lambda: 0.5)
    pace.refused(3.0, 0, 0.0)
    assert [pace.ask(who, 1.0).granted for who in "abc"] == [False] * 3
    assert not pace.ask("c", 3.5).granted
    assert pace.ask("a", 3.5).granted
    assert not pace.ask("b", 3.5).granted


def test_a_request_of_a_worker_that_is_gone_delays_no_other() -> None:
    pace = Pace(0.0, lambda: 0.5)
    pace.refused(1.0, 0, 0.0)
    pace.ask("dead", 0.5)
    pace.ask("left", 0.5)
    pace.ask("alive", 0.5)
    pace.leave("left")
    pace.ask("alive", 4.0)
    assert pace.ask("alive", 0.6 + PRESENCE).granted


def test_limits_are_apart_and_forgotten_after_quiet() -> None:
    paces = Paces()
    assert paces.refused("a", 1.0, 0, 0.0)
    assert not paces.refused("a", 1.0, 0, 0.5)
    assert paces.find("b", 1.0) is None
    assert paces.find("a", QUIET) is not None
    assert paces.find("a", 2.0 + QUIET) is None


def test_the_figures_of_a_limit_tell_of_its_rate_its_queue_and_its_refusals() -> None:
    paces = Paces(lambda: 0.5)
    assert paces.figures(0.0) == ()
    paces.refused("a", 4.0, 0, 10.0)
    paces.refused("a", 4.0, 0, 11.0)
    pace = paces.find("a", 12.0)
    assert pace is not None
    pace.ask("first", 12.0)
    assert paces.figures(13.0) == (PaceFigures("a", 1.0, 1, hold=2.0, quiet_for=2.0, refusals=2),)
    (later,) = paces.figures(60.0)
    assert (later.waiting, later.hold, later.quiet_for) == (0, 0.0, 49.0), "who does not ask again waits no more"
    assert paces.figures(15.0 + QUIET + 0.1) == ()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "refuse", "leave"]),
        st.integers(0, 3),
        st.floats(0, 30),
        st.none() | st.floats(0, 1e9),
    ),
    max_size=60,
)


@given(EVENTS)
def test_no_turn_is_granted_during_a_wait_and_every_wait_is_bounded(
    events: list[tuple[str, int, float, float | None]],
) -> None:
    now, until, last = 0.0, 0.0, 0
    pace = Pace(now)
    for event, who, passed, wait in events:
        now += passed
        if event == "leave":
            pace.leave(who)
        elif event == "refuse":
            pace.refused(wait, last, now)
            until = max(until, now + min(wait or 0.0, LONGEST_HOLD))
        else:
            turn = pace.ask(who, now)
            assert not turn.granted or now >= until
            assert turn.granted or 0 <= turn.wait <= LONGEST_HOLD + 5 * LONGEST_INTERVAL * 1.1
            last = turn.serial or last
        assert 0 < pace.interval <= LONGEST_INTERVAL
    end = now + LONGEST_HOLD + LONGEST_INTERVAL * 2
    assert pace.ask("last", end).granted or pace.waiting > 1
