"""A node in other hands: it has joined as any other, and then says with the keys that it was given what it likes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec
import zmq
import zmq.asyncio

from greenroom.protocol.internal.broker.answers import BrokerAnswer, broker_frames, read_broker_answer
from greenroom.protocol.internal.broker.questions import BrokerQuestion, Hello
from greenroom.protocol.internal.node import (
    BEAT,
    PROTOCOL,
    Beat,
    Enrol,
    FromNode,
    Join,
    ToNode,
    node_frames,
    read_to_node,
)
from greenroom.protocol.internal.process import KeyPair, Spawn, WorkerSpec
from greenroom.protocol.internal.records import RecordsReply, RecordsRequest, is_reply, read_reply, record_frames
from greenroom.protocol.internal.worker.notices import NoticeOrder, Ready, WorkerNotice, notice_frames
from greenroom.protocol.internal.worker.operations import ReceivedOperation, read_operation
from greenroom.protocol.version import __version__
from greenroom.supervisor.processes.nodes.keys import Ticket

TIMEOUT = 20.0
SILENCE = 0.4
"""Seconds after which nothing is expected any more."""

UP, REFUSED = int(zmq.EVENT_HANDSHAKE_SUCCEEDED), int(zmq.EVENT_HANDSHAKE_FAILED_AUTH)


def secured(context: zmq.asyncio.Context, server_key: str, keys: KeyPair, kind: int = zmq.DEALER) -> Any:
    """Return a socket that will show a key."""
    made = context.socket(kind)
    made.linger = 0
    made.curve_serverkey = server_key.encode()
    made.curve_publickey, made.curve_secretkey = keys.public.encode(), keys.secret.encode()
    return made


async def is_let_in(address: str, server_key: str, keys: KeyPair, kind: int = zmq.DEALER) -> bool:
    """Tell whether a key gets past the handshake of a socket. Raises `TimeoutError` where it is left unanswered."""
    context = zmq.asyncio.Context()
    made = secured(context, server_key, keys, kind)
    monitor = made.get_monitor_socket(UP | REFUSED)
    try:
        made.connect(address)
        async with asyncio.timeout(TIMEOUT):
            event = await monitor.recv_multipart()
        return int.from_bytes(event[0][:2], "little") == UP
    finally:
        made.disable_monitor()
        monitor.close(linger=0)
        context.destroy(linger=0)


@dataclass
class StolenWorker:
    """The key of a worker, and its connections."""

    node: "HostileNode"
    spec: WorkerSpec
    _asked: int = 0

    def __post_init__(self) -> None:
        spec, connect = self.spec, self.node.connect
        self._broker = connect(spec.broker_address, spec.broker_key, spec.keys)
        self.changes = connect(spec.broadcast_address, spec.broker_key, spec.keys, zmq.SUB)
        self.changes.subscribe(b"")
        self._mailbox = secured(self.node.context, spec.mailbox_key, spec.keys)
        self._mailbox.routing_id = spec.id.encode()
        self._mailbox.connect(spec.mailbox_address)

    async def greet(self) -> None:
        """Say hello to the broker, and that it is ready."""
        await self.ask(Hello(worker_id=self.spec.id))
        await self.tell(Ready(worker_id=self.spec.id, pid=1))

    async def ask(self, question: BrokerQuestion, within: float = TIMEOUT) -> BrokerAnswer | None:
        """Ask the broker, and return what it answers; `None` where it does not."""
        self._asked += 1
        await self.node.send(self._broker, broker_frames(str(self._asked).encode(), question))
        parts = await self.node.hear(self._broker, within)
        return None if parts is None else read_broker_answer(parts).answer

    async def record(self, request: RecordsRequest, lines: bytes = b"", within: float = TIMEOUT) -> RecordsReply | None:
        """Ask the keeper of records, over the mailbox; `None` where it does not answer, or cannot be reached."""
        try:
            async with asyncio.timeout(within):
                await self.node.send(self._mailbox, record_frames(request, lines))
        except TimeoutError:
            return None
        while (parts := await self.node.hear(self._mailbox, within)) is not None:
            if is_reply(parts[0]):  # and no operation
                return read_reply(parts).reply
        return None

    async def tell(self, notice: WorkerNotice, payload: bytes = b"") -> None:
        """Send a notice to the mailbox."""
        await self.node.send(self._mailbox, notice_frames(notice, payload, NoticeOrder(0, 0)))

    async def next_operation(self) -> ReceivedOperation:
        """Return what the host asks of it."""
        parts = await self.node.hear(self._mailbox, TIMEOUT)
        assert parts is not None
        return read_operation(parts)


@dataclass
class HostileNode:
    """One that has a ticket. To be entered."""

    address: str
    ticket: Ticket
    keys: KeyPair
    told: list[bytes] = field(default_factory=list)
    """All that it was ever told, by whatever way."""
    said: list[ToNode] = field(default_factory=list)
    context: zmq.asyncio.Context = field(default_factory=zmq.asyncio.Context)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        shown = KeyPair(public=self.ticket.public_key, secret=self.ticket.secret_key)
        enrolling = self.connect(self.address, self.ticket.host_key, shown)
        await self.send(enrolling, node_frames(Enrol(public_key=self.keys.public, name=self.ticket.name)))
        assert await self.hear(enrolling, TIMEOUT) is not None
        self._link = self.connect(self.address, self.ticket.host_key, self.keys)
        await self.say(Join(version=__version__, run="run", protocol=PROTOCOL, capacity=4))
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.context.destroy(linger=0)

    def connect(self, address: str, server_key: str, keys: KeyPair, kind: int = zmq.DEALER) -> Any:
        """Return a socket that is connected with a key."""
        made = secured(self.context, server_key, keys, kind)
        made.connect(address)
        return made

    async def say(self, message: FromNode) -> None:
        await self.send(self._link, node_frames(message))

    async def send(self, socket: Any, frames: Sequence[bytes]) -> None:
        """Send a message. Raises `TimeoutError` where the socket takes none, as one whose key was refused."""
        async with asyncio.timeout(TIMEOUT):
            await socket.send_multipart(frames)

    async def hear(self, socket: Any, within: float) -> Sequence[bytes] | None:
        """Return what comes next at a socket; `None` where nothing does."""
        try:
            async with asyncio.timeout(within):
                parts: list[bytes] = await socket.recv_multipart()
        except TimeoutError:
            return None
        self.told += parts
        return parts

    async def until(self, kind: type[ToNode], count: int = 1) -> list[Any]:
        """Wait until the host has said so many of a kind, and return them."""
        async with asyncio.timeout(TIMEOUT):
            while len(found := [one for one in self.said if isinstance(one, kind)]) < count:
                await asyncio.sleep(0.01)
        return found

    async def workers(self, count: int) -> list[StolenWorker]:
        """Return the workers that the host has ordered, which are keys here and no processes."""
        specs = [one.spec for one in await self.until(Spawn, count)]
        return [await self._worker(spec) for spec in specs if isinstance(spec, WorkerSpec)][:count]

    async def _worker(self, spec: WorkerSpec) -> StolenWorker:
        """Return a worker once the broker knows its key: ZeroMQ gives up a connection whose key was refused."""
        async with asyncio.timeout(TIMEOUT):
            while not await is_let_in(spec.broker_address, spec.broker_key, spec.keys):
                await asyncio.sleep(0.01)
        return StolenWorker(self, spec)

    def was_told(self, secrets: Sequence[str]) -> list[str]:
        """Return those of the secrets that it was told, in plain text or within JSON."""
        everything = b"\0".join(self.told) + msgspec.json.encode([repr(one) for one in self.said])
        return [secret for secret in secrets if secret.encode() in everything]

    async def _listen(self) -> None:
        while True:
            parts = await self._link.recv_multipart()
            self.told += parts
            self.said.append(read_to_node(parts))

    async def _beat(self) -> None:
        number = 0
        while True:
            number += 1
            await self.say(Beat(number=number))
            await asyncio.sleep(BEAT)
