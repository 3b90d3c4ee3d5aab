"""A conversation with an answer lets others ask their model first, for a limited time."""

import asyncio

import pytest

from greenroom.runtime import startup_load as rush
from greenroom.workers.startup_backoff import TIMEOUT, let_others_begin
from tests.support.loop import on_loop


def rushing(monkeypatch: pytest.MonkeyPatch, looks: int) -> list[float]:
    """Make the next looks find a rush, and return the pauses between them."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(rush, "is_on", lambda: len(pauses) < looks)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    return pauses


def test_without_a_rush_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = rushing(monkeypatch, 0)
    asyncio.run(let_others_begin())
    assert pauses == []


def test_it_waits_until_the_rush_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = rushing(monkeypatch, 3)
    asyncio.run(let_others_begin())
    assert len(pauses) == 3


def test_a_rush_without_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = rushing(monkeypatch, 1000)
    asyncio.run(let_others_begin())
    assert sum(pauses) == pytest.approx(TIMEOUT)


@on_loop
async def test_it_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rush, "is_on", lambda: True)
    waiting = asyncio.create_task(let_others_begin())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
