"""Announces a change of the credential: to the workers first, then to the supervisor (docs/security.md, K15)."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from greenroom.protocol.internal.broker.broadcasts import AuthChanged

log = logging.getLogger(__name__)

TIMEOUT: Final = 0.5
"""Seconds that workers have to subscribe, and to acknowledge a change."""
_OF_THE_SUPERVISOR: Final = frozenset({"login", "logout"})
"""Reasons that the supervisor learns from the answer to its request."""


class ChangeFanout:
    """The broadcasts of one broker, in order."""

    def __init__(
        self, publish: Callable[[AuthChanged], None], notify_supervisor: Callable[[AuthChanged], None]
    ) -> None:
        self._publish = publish
        self._tell_supervisor = notify_supervisor
        self._seen: dict[str, int] = {}
        self._all_seen = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._awaited = 0
        self._last: asyncio.Task[None] | None = None

    def welcome(self, worker_id: str, generation: int) -> None:
        """Expect acknowledgements of a worker, which has subscribed while `generation` was in force."""
        self._seen[worker_id] = generation
        self._subscribed.set()
        self._subscribed = asyncio.Event()

    async def listening(self, worker_id: str) -> None:
        """Wait a moment for a worker to subscribe; it is admitted in any case."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                while worker_id not in self._seen:
                    await self._subscribed.wait()

    def forget(self, worker_id: str) -> None:
        """Expect no more acknowledgements of a worker."""
        self._seen.pop(worker_id, None)
        self._check()

    def acknowledge(self, worker_id: str, generation: int) -> None:
        """Note that a worker has acknowledged a change."""
        if worker_id in self._seen:
            self._seen[worker_id] = max(generation, self._seen[worker_id])
            self._check()

    def announce(self, changed: AuthChanged) -> None:
        """Notify the workers now, and the supervisor after their acknowledgements."""
        self._publish(changed)
        self._last = asyncio.get_running_loop().create_task(self._follow(changed, self._last))

    async def settle(self) -> None:
        """Wait until everything announced so far has been acknowledged, or its time is over."""
        if self._last is not None:
            await asyncio.wait({self._last})

    async def _follow(self, changed: AuthChanged, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait({before})
        self._awaited = changed.generation
        self._all_seen.clear()
        self._check()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._all_seen.wait()
        except TimeoutError:
            late = [worker_id for worker_id, seen in self._seen.items() if seen < changed.generation]
            log.warning("%d workers have not seen generation %d", len(late), changed.generation)
        if changed.reason not in _OF_THE_SUPERVISOR:
            self._tell_supervisor(changed)

    def _check(self) -> None:
        if all(seen >= self._awaited for seen in self._seen.values()):
            self._all_seen.set()
