"""The turn of one model request under a rate limit shared by all conversations (`greenroom.broker.pace`).

Without a known limit this costs nothing. If the broker is dead or does not answer, the request waits by itself for as
long as the server has asked for.
"""

import hashlib
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from greenroom.protocol.errors import ModelError
from greenroom.protocol.internal.broker.answers import Slot
from greenroom.workers.model.credentials.credential import Bearer
from greenroom.workers.model.outcome.attempt import ModelRequestError

PATIENCE: Final = 10.0
"""Seconds that one request to the broker waits for the turn."""
SHORT: Final = 1.0
"""Seconds; shorter waits are not reported to clients."""

_tickets = itertools.count(1)


class SharedLimits(Protocol):
    """The source of turns."""

    @property
    def knows_limits(self) -> bool:
        """Whether any limit was reported."""
        ...

    def is_limited(self, key: str) -> bool:
        """Whether a limit was reported."""
        ...

    async def slot(self, key: str, ticket: int, patience: float) -> Slot | None:
        """Return the state of a turn, after at most `patience` seconds; `None` if the broker does not answer."""
        ...

    async def report_limited(self, key: str, ticket: int, serial: int, wait: float | None) -> None:
        """Report a rejection, if the broker is available."""
        ...

    def leave_queue(self, key: str, ticket: int) -> None:
        """Give up a turn, if the broker is available."""
        ...


def limit_key(url: str, bearer: Bearer) -> str:
    """Return the key of a limit: a fingerprint of server and account that reveals neither."""
    who = bearer.account_id or ("" if bearer.renewable else bearer.token) or ""
    return hashlib.sha256(f"{url}\n{bearer.mode}\n{who}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


class RequestPace:
    """The turns of one request, from its first attempt to its end."""

    def __init__(
        self,
        shared: SharedLimits | None,
        longest: float,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`longest`: seconds that the request may wait in total."""
        self._shared = shared
        self._longest = longest
        self._sleep = sleep
        self._clock = clock
        self._ticket = next(_tickets)
        self._waited = 0.0
        self._serial = 0
        self._own_wait: float | None = None
        """Seconds to wait after a rejection if neither server nor broker says."""

    def has_room_for(self, seconds: float) -> bool:
        """Whether the request may wait that much longer."""
        return self._waited + seconds <= self._longest

    async def enter(self, key_of: Callable[[], str], tell: Callable[[float], None]) -> bool:
        """Return when the request may be sent, and whether it had to wait. `tell` is called with a wait in seconds.

        `key_of` is asked for the key of the request's limit where any limit is known. Raises `ModelError` if the
        request would have to wait too long.
        """
        own, self._own_wait, self._serial = self._own_wait, None, 0
        if self._shared is None or (own is None and not self._shared.knows_limits):
            return await self._wait_alone(own)
        key = key_of()
        if own is None and not self._shared.is_limited(key):
            return False
        try:
            return await self._wait_in_turn(self._shared, key, own, None if own is not None else tell)
        except BaseException:
            self._shared.leave_queue(key, self._ticket)
            raise

    async def refused(self, key: str, told: float | None, own_wait: float) -> None:
        """Record a rejection; `told` is the wait that the server asks for, `own_wait` the one otherwise."""
        self._own_wait = own_wait
        if self._shared is not None:
            await self._shared.report_limited(key, self._ticket, self._serial, told)

    async def _wait_alone(self, own: float | None) -> bool:
        if own is None:
            return False
        self._waited += own
        await self._sleep(own)
        return True

    async def _wait_in_turn(
        self, shared: SharedLimits, key: str, own: float | None, tell: Callable[[float], None] | None
    ) -> bool:
        has_waited, patience = False, 0.0
        while True:
            began = self._clock()
            slot = await shared.slot(key, self._ticket, patience)
            took = self._clock() - began
            self._waited += took if patience else 0.0
            if slot is None:
                return await self._wait_alone(None if own is None else max(own - took, 0.0)) or has_waited
            self._serial = slot.serial
            if slot.granted:
                return has_waited
            has_waited = True
            if not self.has_room_for(min(slot.wait_ms / 1000, PATIENCE)):
                raise too_long(self._longest)
            if tell is not None and slot.wait_ms >= SHORT * 1000:
                tell(slot.wait_ms / 1000)
                tell = None
            patience = min(PATIENCE, max(self._longest - self._waited, 0.001))


def too_long(longest: float) -> ModelError:
    """Return the error of a request that cannot be sent within its time because of a rate limit."""
    text = f"exceeded retry limit, last status: 429 Too Many Requests: no turn came within {longest:g} s"
    return ModelRequestError(text, {"response_too_many_failed_attempts": {"http_status_code": 429}})
