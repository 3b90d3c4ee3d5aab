"""Deaths at chosen steps of a refresh, for processes that are born to die there."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from greenroom.broker.credential.state import CredentialState
from greenroom.broker.credential_manager import CredentialManager
from greenroom.broker.refresh import exchange as refresh
from greenroom.broker.refresh import subprocess as delegation
from greenroom.broker.refresh.journal import Journal
from greenroom.broker.storage import file as file_store
from greenroom.broker.token_issuer.client import Issuer
from tests.broker.forked_refresh import fork_refreshes
from tests.broker.homes import Parts

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
    await _REFRESH(issuer, *given, **named)
    _die()


async def _told(channel: socket.socket, order: bytes) -> None:
    channel.sendall(order)
    channel.shutdown(socket.SHUT_WR)
    _die()


async def _heard(channel: socket.socket, order: bytes) -> None:
    await _CONVERSE(channel, order)
    _die()


_REFRESH = Issuer.refresh
_CONVERSE = delegation._converse

TOGETHER: dict[str, Callable[[], None]] = {
    "the store is read again": lambda: _before(Journal, "open"),
    "nothing is sent yet": lambda: _after(Journal, "begin"),
    "the answer is there": lambda: setattr(Issuer, "refresh", _answered),
    "the answer is about to be written": lambda: _before(refresh, "_put"),
    "the new file is half written": lambda: setattr(file_store, "_write", _half_written),
    "the new file is written": lambda: _before(os, "rename"),
    "the new file is in place": lambda: _after(os, "rename"),
    "the directory is about to be synced": lambda: _before(file_store, "_sync_directory"),
    "the journal is about to be settled": lambda: _before(Journal, "settle"),
    "the new tokens come into force": lambda: _before(CredentialManager, "commit"),
}
"""Deaths of all at once, as when the machine goes down, in their order."""
LOST = list(TOGETHER)[2:6]
"""Those at which the new tokens exist nowhere but in the process."""

ALONE: dict[str, Callable[[], None]] = {
    "the journal says that a token will be sent": lambda: _after(Journal, "begin"),
    "a process is started": lambda: _after(delegation, "spawn"),
    "it is told everything": lambda: setattr(delegation, "_converse", _told),
    "its report is there": lambda: setattr(delegation, "_converse", _heard),
    "the new tokens are about to come into force": lambda: _before(CredentialManager, "commit"),
    "the new tokens are in force": lambda: _before(CredentialState, "outline"),
}
"""Deaths of the broker, in their order."""


def refresh_until(step: str, home: str, url: str, lifeline: Connection | None = None) -> None:
    """Begin a refresh as a broker would, and die on the way: alone where there is a lifeline."""

    async def run() -> None:
        parts = Parts(home, issuer_url=url, lifeline=None if lifeline is None else lifeline.fileno())
        fork_refreshes()
        (TOGETHER if lifeline is None else ALONE)[step]()
        await parts.get()
        parts.in_force.outline(0.0)

    asyncio.run(run())
