"""The calls without a handshake that wait for their next round, of all clients of one server.

They belong to the server's user, not to the connection on which they were made: the client that brings their state back
continues them, on whichever connection that is. The state is signed and was given to the client of the call alone.
"""

import asyncio
from collections import deque
from typing import Final, NamedTuple

from greenroom.supervisor.conversations.state.turn import Client
from greenroom.supervisor.frontend.mcp.calls.multi_round_call import MultiRoundCall

KEPT_RESULTS: Final = 100
"""Outcomes without a request that are kept at a time."""


class _Parted(NamedTuple):
    call: MultiRoundCall
    owner: Client | None
    """The client that was asked, `None` once it has left."""


class PartedCalls:
    """Those of one server. Must be made on the running loop."""

    def __init__(self) -> None:
        self._calls: dict[str, _Parted] = {}
        self._unheard: deque[str] = deque()

    @property
    def orphans(self) -> int:
        """Number of those under way whose client has left."""
        return sum(one.owner is None and one.call.result is None for one in self._calls.values())

    def of(self, client: Client) -> int:
        """Return the number of those under way that a client was asked about."""
        return sum(one.owner is client and one.call.result is None for one in self._calls.values())

    def enter(self, call: MultiRoundCall, owner: Client) -> None:
        """Let a call wait for its next round."""
        self._calls[call.id] = _Parted(call, owner)

    def take(self, call_id: str) -> MultiRoundCall | None:
        """Return a call for its next round, once; `None` where it does not wait, or no longer."""
        found = self._calls.pop(call_id, None)
        return None if found is None else found.call

    def keep(self, call: MultiRoundCall, seconds: float) -> None:
        """Keep the outcome of a turn that no request waits for, until one asks or it is too old or one too many."""
        self._unheard.append(call.id)
        if len(self._unheard) > KEPT_RESULTS:
            self._calls.pop(self._unheard.popleft(), None)
        asyncio.get_running_loop().call_later(seconds, self._calls.pop, call.id, None)

    def disown(self, client: Client) -> None:
        """Note that a client has left. Its calls wait on: for their next round, or for the end of its deadline."""
        for call_id, one in self._calls.items():
            if one.owner is client:
                self._calls[call_id] = _Parted(one.call, None)

    async def close(self) -> None:
        """Forget them. All turns must have ended."""
        self._calls.clear()
