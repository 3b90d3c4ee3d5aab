"""One client's connection: its transport, its front end, and whether it reads.

A second client is another `Connection` over the same conversations. Another transport implements `Transport`, another
protocol `FrontEnd`; neither knows of the other.
"""

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.slow_reader import Patience, SlowReaderWatch
from greenroom.supervisor.frontend.stdio import StdioStatistics, StdioTransport

if TYPE_CHECKING:
    from greenroom.protocol.report import ClientEntry
    from greenroom.supervisor.conversations.host import ConversationHost
    from greenroom.supervisor.frontend.mcp.front_state import FrontState

log = logging.getLogger(__name__)
_ids = itertools.count(1)

FLUSH_TIMEOUT = 0.3
"""Seconds that the client has for reading the last answers."""


class Transport(Protocol):
    """The two directions of bytes of one client, on the running loop."""

    def start(self) -> None:
        """Start reading."""

    def write(self, data: bytes) -> None:
        """Queue complete lines. Never blocks; once the client is gone they are dropped."""

    async def drain(self) -> None:
        """Wait until everything is written or the client is gone."""

    def statistics(self) -> StdioStatistics:
        """Return the counters."""

    def close(self) -> None:
        """Stop reading and writing, and close what it holds."""


OpenTransport: TypeAlias = Callable[[Callable[[bytes], None], Callable[[], None], Callable[[bool], None]], Transport]
"""Makes a transport that calls the first with what the client sends, the second at the end of that, and the third when
so much waits for the client that no more should be produced for it (`True`), or no longer does (`False`)."""


class FrontEnd(Protocol):
    """A protocol as spoken with one client. It answers what it can from the first moment; the rest waits."""

    @property
    def channel(self) -> ClientChannel:
        """The way to the client."""

    @property
    def client(self) -> "ClientEntry | None":
        """The client as it has introduced itself, for status."""

    @property
    def open_calls(self) -> int:
        """Number of calls that wait for their answer."""

    def receive(self, data: bytes) -> None:
        """Handle bytes of the client."""

    def receive_end(self) -> None:
        """Handle the end of the client's input."""

    def attach(self, host: "ConversationHost") -> None:
        """Let through what needs the conversations, first what came before."""

    async def stop(self, reason: str) -> None:
        """Answer with an error whatever is being worked on outside conversations, and what came before `attach`."""

    async def close(self) -> None:
        """Settle the rest, once the turns of the client have ended."""


@runtime_checkable
class MovableFront(Protocol):
    """A front end whose client can be served on by another process."""

    def state(self) -> "FrontState | None":
        """Return the state in which another process serves the client on; `None` while something of it is open."""


class MovedConnection(NamedTuple):
    """A client that another process is to serve on."""

    state: "FrontState"
    descriptor: int
    """A descriptor of its socket, which is closed with the connection."""


class Connection:
    """One client. `attach` it to the conversations when they are there; `stop` and then `close` it at its end."""

    def __init__(
        self,
        front_end: FrontEnd,
        open_transport: OpenTransport,
        unsent: bytes = b"",
        pid: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`unsent` are answers that were given before there was a transport; `pid` is the client's process, if known.

        With `patience` a client that does not read is let go in the end. Must be made on the running loop.
        """
        self.id = f"client-{os.getpid()}-{next(_ids)}"
        """Identifies it among the clients of all instances that run."""
        self.pid = pid
        """The process at the other end, `None` where it is not known."""
        self.connected_at = time.time()
        """Seconds since the epoch."""
        self._front_end = front_end
        self._channel = front_end.channel
        self._host: ConversationHost | None = None
        self._ended = asyncio.Event()
        self._is_stopped = False
        self._transport = open_transport(front_end.receive, self._input_ended, self._pressure_changed)
        self._channel.send_through(self._transport.write, self._transport.drain)
        self._transport.write(unsent)
        self._watch = None if patience is None else SlowReaderWatch(patience, self.statistics, self._too_slow)

    @property
    def client(self) -> "ClientEntry | None":
        """The client as it has introduced itself, and what it holds."""
        introduced = self._front_end.client
        if introduced is None:
            return None
        facts = {
            "id": self.id,
            "pid": self.pid or None,
            "connected_at": self.connected_at,
            "open_calls": self.open_calls,
            "waiting": self.statistics().waiting,
        }
        return introduced.model_copy(update=facts)

    @property
    def channel(self) -> ClientChannel:
        """The client, as the conversations know it."""
        return self._channel

    @property
    def open_calls(self) -> int:
        """Number of calls that wait for their answer."""
        return self._front_end.open_calls

    def statistics(self) -> StdioStatistics:
        """Return the counters of the transport."""
        return self._transport.statistics()

    def start(self) -> None:
        """Start reading."""
        self._transport.start()

    def attach(self, host: "ConversationHost") -> None:
        """Let the client's calls through to the conversations."""
        self._host = host
        self._front_end.attach(host)

    def disconnect(self) -> None:
        """Treat the client as one that has left."""
        self._input_ended()

    @property
    def is_local(self) -> bool:
        """Whether the client is at a descriptor of its own, and not a part of what another transport carries."""
        return isinstance(self._transport, StdioTransport)

    @property
    def is_at_rest(self) -> bool:
        """Whether it waits for nothing, and nothing waits for it."""
        is_busy = self._host is None or self._host.conversations.is_busy_for(self._channel)
        return not (is_busy or self.open_calls or self.channel.peer.open_requests or self.statistics().waiting)

    def move(self) -> MovedConnection | None:
        """Stop reading, and return what another process needs to serve the client on; `close` it afterwards.

        `None` while something of it is open, or where it cannot be moved.
        """
        transport, front = self._transport, self._front_end
        if self._ended.is_set() or not isinstance(transport, StdioTransport) or not isinstance(front, MovableFront):
            return None
        state = front.state()
        if state is None or transport.statistics().waiting:
            return None
        return MovedConnection(state, transport.detach())

    async def wait_ended(self) -> None:
        """Wait for the end of the client's input."""
        await self._ended.wait()

    async def stop(self, reason: str) -> None:
        """Answer what is being worked on outside conversations, once; the turns of the client go on."""
        if not self._is_stopped:
            self._is_stopped = True
            await self._front_end.stop(reason)

    def leave(self, reason: str) -> None:
        """End the turns of the client, whose calls are answered at once, and listen to no conversation any more."""
        if self._host is not None:
            self._host.conversations.leave(self._channel, reason)

    async def close(self, within_s: float = FLUSH_TIMEOUT) -> None:
        """Give the client a moment to read its last answers, and close the transport. Its turns must have ended."""
        if self._watch is not None:
            self._watch.close()
        await self._front_end.close()
        try:
            async with asyncio.timeout(within_s):
                await self._transport.drain()
        except TimeoutError:
            log.warning("the client did not read its last answers")
        self._transport.close()

    def forget(self) -> None:
        """Treat the client as one that another process serves on: what it has begun to send is not looked at here."""
        self._ended.set()

    def _too_slow(self, reason: str) -> None:
        log.warning("%s is let go: %s", self.id, reason)
        self.disconnect()

    def _input_ended(self) -> None:
        if not self._ended.is_set():
            self._front_end.receive_end()
            self._ended.set()

    def _pressure_changed(self, pressed: bool) -> None:
        self._channel.is_reading = not pressed
        if self._watch is not None:
            self._watch.pressure_changed(pressed)
        if self._host is not None:
            self._host.follow_reader(self._channel)
