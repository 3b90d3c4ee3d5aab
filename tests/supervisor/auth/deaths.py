"""Deaths at chosen steps of a redemption, for processes that are born to die there."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from supervisor.auth import file_store
from supervisor.auth.custody import Custody
from supervisor.auth.issuer import Issuer
from supervisor.auth.journal import Journal
from supervisor.auth.standing import Standing
from tests.supervisor.auth.homes import Parts

Owner = Any


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: Owner, name: str) -> None:
    setattr(owner, name, _die)


def _after(owner: Owner, name: str) -> None:
    done: Callable[..., Any] = getattr(owner, name)

    def last(*given: Any, **named: Any) -> None:
        done(*given, **named)
        _die()

    setattr(owner, name, last)


def _half_written(descriptor: int, data: bytes) -> None:
    os.write(descriptor, data[: len(data) // 2])
    _die()


async def _answered(issuer: Issuer, *given: Any, **named: Any) -> None:
    await _REDEEM(issuer, *given, **named)
    _die()


_REDEEM = Issuer.redeem

STEPS: dict[str, Callable[[], None]] = {
    "the store is read again": lambda: _before(Journal, "open"),
    "nothing is sent yet": lambda: _after(Journal, "begin"),
    "the answer is there": lambda: setattr(Issuer, "redeem", _answered),
    "the answer is about to be written": lambda: _before(Custody, "commit"),
    "the new file is half written": lambda: setattr(file_store, "_write", _half_written),
    "the new file is written": lambda: _before(os, "rename"),
    "the new file is in place": lambda: _after(os, "rename"),
    "the directory is about to be synced": lambda: _before(file_store, "_sync_directory"),
    "the journal is about to be settled": lambda: _before(Journal, "settle"),
    "the new tokens come into force": lambda: _before(Standing, "outline"),
}
"""In their order."""
LOST = list(STEPS)[2:6]
"""Those at which the new tokens exist nowhere but in the process."""


def redeem_until(step: str, home: str, url: str) -> None:
    """Begin a redemption as a broker would, and die on the way."""

    async def run() -> None:
        parts = Parts(home, issuer_url=url)
        STEPS[step]()
        await parts.get()
        parts.standing.outline(0.0)

    asyncio.run(run())
