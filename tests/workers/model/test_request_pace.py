"""A request asks for its turn under a rate limit only where one is known, and only then for the key of its limit."""

import asyncio
from collections.abc import Callable

import pytest

from greenroom.protocol.internal.broker.answers import Slot
from greenroom.workers.model.request_pace import RequestPace
from tests.support.loop import on_loop


class Limits:
    """Knows the limits of some keys, and grants each turn at once."""

    def __init__(self, *limited: str) -> None:
        self._limited = limited
        self.asked: list[str] = []

    @property
    def knows_limits(self) -> bool:
        return bool(self._limited)

    def is_limited(self, key: str) -> bool:
        return key in self._limited

    async def slot(self, key: str, ticket: int, patience: float) -> Slot | None:
        self.asked.append(key)
        return Slot(granted=True, serial=1, wait_ms=0, is_limited=True)

    async def report_limited(self, key: str, ticket: int, serial: int, wait: float | None) -> None: ...

    def leave_queue(self, key: str, ticket: int) -> None: ...


def _key(named: list[str]) -> Callable[[], str]:
    def key() -> str:
        named.append("mine")
        return "mine"

    return key


@pytest.mark.parametrize(
    ("limits", "named", "asked"),
    [
        (None, 0, []),
        (Limits(), 0, []),
        (Limits("other"), 1, []),
        (Limits("mine"), 1, ["mine"]),
        (Limits("other", "mine"), 1, ["mine"]),
    ],
)
@on_loop
async def test_the_key_is_made_where_a_limit_is_known_and_a_turn_asked_for_where_it_is_this_ones(
    limits: Limits | None, named: int, asked: list[str]
) -> None:
    keys: list[str] = []
    pace = RequestPace(limits, 10.0, asyncio.sleep)
    assert not await pace.enter(_key(keys), lambda _: None)
    assert (len(keys), [] if limits is None else limits.asked) == (named, asked)


@pytest.mark.parametrize("limits", [Limits(), Limits("other"), Limits("mine")])
@on_loop
async def test_a_request_that_was_refused_asks_for_its_turn_whatever_is_known(limits: Limits) -> None:
    pace = RequestPace(limits, 10.0, asyncio.sleep)
    await pace.refused("mine", None, 0.0)
    await pace.enter(lambda: "mine", lambda _: None)
    assert limits.asked == ["mine"]
