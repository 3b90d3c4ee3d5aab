"""A whole server in this process, whose workers are played: for tests that need thousands of messages, not processes.

Everything is real down to the mailbox, its sockets included. What is played is the engine, and what workers do: a turn
does what the first word of its prompt says (`DEEDS`), and any other turn is over at once. The auth broker never comes
up, so that whatever needs it waits for the end of the server.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeAlias
from unittest.mock import patch

import msgspec
import zmq

from greenroom.config.defaults import Limits
from greenroom.protocol.approval import FormQuestion, encode_question
from greenroom.protocol.errors import ErrorKind
from greenroom.protocol.ids import BEFORE_TURNS, TurnId, WorkerId
from greenroom.protocol.internal.process import AnyProcessSpec, Exited, WorkerSpec
from greenroom.protocol.internal.worker.notices import (
    AskUser,
    Heartbeat,
    Opened,
    OpenFailed,
    Ready,
    TurnEnded,
    TurnProgress,
)
from greenroom.protocol.internal.worker.operations import (
    Close,
    Decide,
    HoldEvents,
    Interrupt,
    Open,
    ReceivedOperation,
    StartTurn,
)
from greenroom.supervisor.frontend.connection import Connection
from greenroom.supervisor.frontend.descriptors import Descriptors
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.frontend.stdio import StdioTransport
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes.engines.engine import EngineStatistics, OnExit, OnMeasured
from greenroom.supervisor.startup import processes
from greenroom.supervisor.startup.early_handshake import HandshakeBuffer
from greenroom.supervisor.startup.provisions import Provisions
from greenroom.supervisor.startup.server import Server
from greenroom.workers.mailbox import Mailbox

FLOOD: Final = 10_000
"""Events of the deed `flood`, which is not among `DEEDS`."""
PIECE: Final = b"x" * 1_000
DEEDS: Final = ("talk", "ask", "fail", "stall", "die", "refuse")
QUESTION: Final = FormQuestion(server="played", message="May I?", form={"type": "object", "properties": {}})
LIMITS: Final = Limits(task_after=0.0)
"""A call becomes a task at once where its client takes tasks."""
READ_SIZE: Final = 1 << 20
TIMEOUT: Final = 20.0
"""Seconds that a whole run may take."""
SETTLE: Final = "settle"
"""The id of the call with which a client waits until the server is up and has done what was said before."""
SETTLING: Final = (
    b'{"id":"%b","method":"tools/call","params":{"name":"codex","arguments":{"prompt":""}}}\n' % SETTLE.encode()
)


WAIT: Final = b""
"""A chunk that says nothing: the client waits until it hears something."""
Say: TypeAlias = Callable[[Callable[[], bytes]], Iterable[bytes]]
"""Yields what the client says, in chunks; it may ask what the client has heard by then."""


class PlayedWorker:
    """One worker: as quick as its messages."""

    def __init__(self, spec: WorkerSpec, context: "zmq.Context[zmq.Socket[bytes]]", leave: Callable[[int], None]):
        self._leave = leave
        self._flooding: asyncio.Task[None] | None = None
        self._mailbox = Mailbox(context, spec, self._take)
        self._mailbox.notify(Ready(worker_id=spec.id, pid=os.getpid()))

    def close(self) -> None:
        if self._flooding is not None:
            self._flooding.cancel()
        self._mailbox.close(0)

    def _take(self, received: ReceivedOperation) -> None:
        operation, payload = received
        match operation:
            case Open(conversation_id=conversation, incarnation=incarnation):
                self._mailbox.begin_turn(BEFORE_TURNS)
                self._address: dict[str, Any] = {"conversation_id": conversation, "incarnation": incarnation}
                self._must_resume, self._is_open = operation.resume == "must", False
            case StartTurn():
                self._run(operation, payload)
            case Interrupt():
                self._end(operation.turn_id, "aborted", message="interrupted")
            case Decide():
                self._end(self._turn_id, "completed")
            case HoldEvents(hold=hold):
                self._mailbox.hold(hold)
            case Close():
                self._leave(0)

    def _run(self, operation: StartTurn, items: bytes) -> None:
        self._turn_id = operation.turn_id
        deed = (msgspec.json.decode(items)[0]["text"].split() or [""])[0]
        if self._must_resume or deed == "refuse":
            kind: ErrorKind = "session_unknown" if self._must_resume else "config"
            self._mailbox.notify(OpenFailed(**self._address, error_kind=kind, message="no"))
            return
        if not self._is_open:
            self._is_open = True
            self._mailbox.notify(Opened(**self._address, model="played", cwd="/", session_path="/nowhere"))
        self._mailbox.begin_turn(operation.turn_id)
        match deed:
            case "talk":
                for number in range(5):
                    self._mailbox.emit(b'{"type":"agent_message_delta","delta":"%d"}' % number)
                beat = Heartbeat(
                    **self._address, turn_id=operation.turn_id, progress=TurnProgress(doing="talking"), tokens=0
                )
                self._mailbox.notify(beat)
                self._end(operation.turn_id, "completed")
            case "ask":
                asked = AskUser(**self._address, turn_id=operation.turn_id, question_id=1)
                self._mailbox.notify(asked, encode_question(QUESTION))
            case "flood":
                self._flooding = asyncio.get_running_loop().create_task(self._flood(operation.turn_id))
            case "fail":
                self._end(operation.turn_id, "failed", error_kind="model_error", message="no model")
            case "die":
                self._leave(-9)
            case "stall":
                pass
            case _:
                self._end(operation.turn_id, "completed")

    async def _flood(self, turn_id: TurnId) -> None:
        for number in range(FLOOD):
            self._mailbox.emit(b'{"type":"agent_message_delta","delta":"%d %b"}' % (number, PIECE))
            await self._mailbox.drain()
        self._end(turn_id, "completed")

    def _end(self, turn_id: TurnId, outcome: Literal["completed", "failed", "aborted"], **more: Any) -> None:
        self._mailbox.notify(TurnEnded(**self._address, turn_id=turn_id, outcome=outcome, **more), b'"done"')


class PlayedEngine:
    """Bears played workers (`greenroom.supervisor.processes.engines.engine.Engine`)."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._alive: dict[WorkerId, PlayedWorker] = {}
        self._on_exit: OnExit
        self._born = self._exited = 0

    async def start(self, on_exit: OnExit, on_ready: Callable[[], None]) -> None:
        self._on_exit = on_exit
        asyncio.get_running_loop().call_soon(on_ready)

    def spawn(self, spec: AnyProcessSpec) -> None:
        if isinstance(spec, WorkerSpec):
            self._born += 1
            self._alive[spec.id] = PlayedWorker(spec, self._context, lambda status: self._end(spec.id, status))

    def came_up(self, worker_id: WorkerId) -> None:
        pass

    def kill(self, worker_id: WorkerId) -> None:
        self._end(worker_id, -9)

    def terminate(self, worker_id: WorkerId) -> None:
        self._end(worker_id, -15)

    def pid_of(self, worker_id: WorkerId) -> int | None:
        return os.getpid() if worker_id in self._alive else None

    fork_server = zygote = None

    def prepare(self, runtime_directory: str) -> None:
        pass

    def measure_fork_server(self, on_measured: OnMeasured) -> bool:
        return False

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(self._born, self._exited, len(self._alive))

    async def close(self, within_s: float = 1.0) -> None:
        for worker in self._alive.values():
            worker.close()
        self._context.destroy(linger=0)

    def _end(self, worker_id: WorkerId, status: int) -> None:
        asyncio.get_running_loop().call_later(0.001, self._reap, worker_id, status)  # as a process takes its time

    def _reap(self, worker_id: WorkerId, status: int) -> None:
        worker = self._alive.pop(worker_id, None)
        if worker is not None:
            worker.close()
            self._exited += 1
            self._on_exit(Exited(id=worker_id, pid=os.getpid(), returncode=status, max_rss=1))


@dataclass
class Run:
    """What became of one connection."""

    output: bytes = b""
    methods: frozenset[str] = frozenset()
    """The requests that the server answered otherwise than as unknown, at the end."""
    trouble: list[str] = field(default_factory=list)
    """What nobody caught."""

    @property
    def messages(self) -> list[dict[str, object]]:
        """The messages that the client got. Fails where there was anything else."""
        assert self.output.endswith(b"\n") or not self.output
        return [msgspec.json.decode(line, type=dict[str, object]) for line in self.output.splitlines()]


class _Trouble(logging.Handler):
    """Hears of exceptions that were logged in place of being handled."""

    def __init__(self, run: Run) -> None:
        super().__init__(logging.ERROR)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is not None or record.name == "asyncio":
            self._run.trouble.append(logging.Formatter().format(record))


@contextmanager
def played(environment: Mapping[str, str]) -> Iterator[None]:
    """Let the servers that are made meanwhile have played workers."""
    with (
        patch.object(processes, "make_engine", lambda *_: PlayedEngine()),
        patch("greenroom.runtime.process.hardening.make_undumpable"),  # the tests look into their own process
        patch("greenroom.runtime.process.hardening.adopt_orphans"),  # and have no use for orphans
        patch.dict(os.environ, environment),
    ):
        yield


def serve(say: Say, home: Path, environment: Mapping[str, str]) -> Run:
    """Let a client say something, with a pass of the loop between two chunks, and hang up; return what it heard.

    After a chunk that ends with a call under the id `SETTLE` it waits for the answer.
    """
    run = Run()
    trouble = _Trouble(run)
    logging.getLogger().addHandler(trouble)
    try:
        with played(environment):
            asyncio.run(_serve(run, say, ServerOptions(str(home), "spawn", limits=LIMITS), environment))
    finally:
        logging.getLogger().removeHandler(trouble)
    return run


def _start_nothing() -> NoReturn:
    raise AssertionError("the played engine starts no process")


async def _serve(run: Run, say: Say, options: ServerOptions, environment: Mapping[str, str]) -> None:
    server_end, to_server = os.pipe()
    from_server, server_output = os.pipe()
    for end in (server_end, server_output, from_server):
        os.set_blocking(end, False)
    descriptors = Descriptors(server_end, server_output)
    buffer = HandshakeBuffer(descriptors)
    front = Front(buffer.write, environment)
    provisions = Provisions(environment, {}, None, _start_nothing, _start_nothing)
    ear = _Ear(from_server)
    async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as tasks:
        server = Server(options, provisions)
        server.attach(Connection(front, partial(StdioTransport, descriptors), buffer.take_unsent()))
        tasks.create_task(server.serve())
        for chunk in say(lambda: ear.heard):
            if chunk == WAIT:
                await ear.more()
                continue
            os.write(to_server, chunk)
            await (ear.settled() if chunk.endswith(SETTLING) else asyncio.sleep(0))
        os.close(to_server)
    run.output = ear.close()
    run.methods = frozenset(front._methods)


class _Ear:
    """Reads what the server says."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.heard = b""
        """All of it so far."""
        self._answers = 0
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._listen)

    async def settled(self) -> None:
        """Wait for another answer to the settling call."""
        while self.heard.count(b'"id":"%b"' % SETTLE.encode()) == self._answers:
            await self.more()
        self._answers += 1

    async def more(self) -> None:
        """Wait until the server says something more."""
        self._more.clear()
        await self._more.wait()

    def close(self) -> bytes:
        """Return all that was said; the server is gone."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self._listen()
        os.close(self._descriptor)
        return self.heard

    def _listen(self) -> None:
        self.heard += os.read(self._descriptor, READ_SIZE)
        self._more.set()
