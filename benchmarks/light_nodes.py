"""Nodes without workers: the links of many nodes to one host, with their beats and nothing behind them.

Run as a program it reads the file that is named (`Crew`), connects, and says `joined SECONDS` once every node has
joined. It does that anew for each line of its standard input, with new connections all at once, and ends with it. So
what nodes cost their host can be measured on a machine that has no room for the fork servers of fifty.
"""

import asyncio
import os
import sys
import time
from typing import Final

import msgspec
import zmq

from greenroom.protocol.ids import uuid7
from greenroom.protocol.internal.node import BEAT, PROTOCOL, Beat, Join, Joined, NodeLoad, Refused, ToNode
from greenroom.protocol.internal.process import KeyPair
from greenroom.protocol.version import __version__
from greenroom.supervisor.node.link import HostLink
from greenroom.supervisor.node.node import LOAD_EVERY
from greenroom.supervisor.processes.nodes.keys import write_private

_LINE: Final = 1 << 24


class Crew(msgspec.Struct, frozen=True):
    """The nodes, and their host."""

    address: str
    host_key: str
    nodes: tuple[KeyPair, ...]
    capacity: int = 0


class LightNode:
    """One link that beats."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", crew: Crew, keys: KeyPair) -> None:
        self._capacity = crew.capacity
        self._number = 0
        self._run = uuid7()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.joined: asyncio.Future[None] = self._loop.create_future()
        self._link = HostLink(context, crew.address, crew.host_key, keys, self._receive, self._join, self._refused)
        self._link.connect()

    def close(self) -> None:
        """Disconnect."""
        if self._timer is not None:
            self._timer.cancel()
        self._link.close()

    def _join(self) -> None:
        self._link.send(Join(version=__version__, run=self._run, protocol=PROTOCOL, capacity=self._capacity))

    def _receive(self, message: ToNode) -> None:
        if isinstance(message, Joined) and not self.joined.done():
            self.joined.set_result(None)
            self._beat()
        elif isinstance(message, Refused):
            self._fail(message.text)

    def _refused(self) -> None:
        self._fail("its key is not known")

    def _fail(self, text: str) -> None:
        if not self.joined.done():
            self.joined.set_exception(RuntimeError(f"a node was refused: {text}"))

    def _beat(self) -> None:
        self._timer = self._loop.call_later(BEAT, self._beat)
        self._number += 1
        load = NodeLoad(memory=1, free_memory=1, load=0.5) if self._number % LOAD_EVERY == 1 else None
        self._link.send(Beat(number=self._number, round_trip=0.001, load=load))


def key_file(directory: str, crew: Crew) -> str:
    """Write the keys of a crew where the program reads them."""
    path = os.path.join(directory, "crew.json")
    write_private(path, msgspec.json.encode(crew))
    return path


async def serve(crew: Crew) -> None:
    """Join, and again for each line of standard input."""
    reader = asyncio.StreamReader(_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 65_536)
    nodes: list[LightNode] = []
    try:
        while True:
            for node in nodes:
                node.close()
            began = time.monotonic()
            nodes = [LightNode(context, crew, keys) for keys in crew.nodes]
            for node in nodes:
                await node.joined
            print(f"joined {time.monotonic() - began:.6f}", flush=True)
            if not await reader.readline():
                return
    finally:
        for node in nodes:
            node.close()
        context.destroy(linger=0)


def main() -> None:
    """Serve until standard input ends."""
    with open(sys.argv[1], "rb") as file:
        crew = msgspec.json.decode(file.read(), type=Crew)
    asyncio.run(serve(crew))


if __name__ == "__main__":
    main()
