"""Scenes of a refresher and an issuer in one home."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.broker.homes import EXPIRED, Parts, tokens, write
from tests.broker.issuer import MockIssuer

Scene = Callable[[MockIssuer, Parts], Awaitable[None]]


def play(home: Any, scene: Scene, lasts: float = EXPIRED, **issuer: Any) -> None:
    """Run a scene on a home that is logged in, its access token lasting so long."""

    async def run() -> None:
        async with MockIssuer(**issuer) as mock:
            write(str(home), tokens(mock.grant(), lasts))
            parts = Parts(str(home), mock)
            await parts.manager.reload()
            await scene(mock, parts)

    asyncio.run(run())
