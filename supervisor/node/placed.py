"""A node that an engine has placed: it makes its keys in memory, and what has started it holds its lifeline.

It tells its public key on standard output and joins once it is told on standard input that the host knows it.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Final

from greenroom.protocol.errors import StartError
from greenroom.supervisor.node.identity import NodeIdentity
from greenroom.supervisor.processes.endpoints import key_pair

LOOK: Final = 1.0
"""Seconds between two looks whether there is a host."""


class PlacedNode:
    """One run of such a node. `host_key`: public key of the host."""

    def __init__(self, name: str, host_key: str, alone: float) -> None:
        """`alone`: seconds for which it looks for its host before it ends; 0: without end."""
        self.identity = NodeIdentity(name, host_key, key_pair(), ticket="")
        self._alone = alone
        self._admitted: asyncio.Future[bool] | None = None
        self._on_end: Callable[[], None] = lambda: None
        self._without_host_since: float | None = None

    async def wait_admitted(self) -> None:
        """Tell the key, and wait until the host knows it. Raises `StartError` where what has started it is gone."""
        loop = asyncio.get_running_loop()
        self._admitted = loop.create_future()
        loop.add_reader(0, self._take)
        sys.stdout.write(f"{self.identity.keys.public}\n")
        sys.stdout.flush()
        if not await self._admitted:
            raise StartError("what has started this node is gone")

    def watch(self, has_host: Callable[[], bool], end: Callable[[], None]) -> None:
        """Call `end` once the lifeline is cut, or there was no host for too long."""
        self._on_end = end
        if self._alone:
            self._look(has_host)

    def _take(self) -> None:
        """Take what comes on standard input: more of it says nothing new, and its end is that of the lifeline."""
        is_alive = bool(os.read(0, 4096))
        if self._admitted is not None and not self._admitted.done():
            self._admitted.set_result(is_alive)
        if not is_alive:
            asyncio.get_running_loop().remove_reader(0)
            self._on_end()

    def _look(self, has_host: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._without_host_since = None if has_host() else self._without_host_since or now
        if self._without_host_since is not None and now - self._without_host_since >= self._alone:
            self._on_end()
        else:
            loop.call_later(LOOK, self._look, has_host)
