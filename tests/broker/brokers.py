"""Real broker processes for tests, forked from a server that has them imported."""

import contextlib
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

import zmq

from greenroom.broker import broker
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import BrokerSpec, KeyPair, WorkerSpec
from greenroom.supervisor.processes.broadcasts import OnBroadcast
from greenroom.supervisor.processes.broker_client import BrokerClient
from tests.broker.forked_refresh import fork_refreshes

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload([__name__, "tests.broker.deaths"])


def key_pair() -> KeyPair:
    """Return fresh CURVE keys."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public=public.decode(), secret=secret.decode())


def _live(spec: BrokerSpec, environment: Mapping[str, str], lifeline: Connection, log: str) -> None:
    fork_refreshes()
    os.environ.update(environment)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    broker.main(spec, lifeline.fileno())


@dataclass
class House:
    """One supervisor's view: addresses and keys that outlive a broker, and the broker of the moment."""

    home: str
    directory: str
    secrets: dict[str, str] = field(default_factory=dict)
    spec_fields: dict[str, object] = field(default_factory=dict)
    keys: KeyPair = field(default_factory=key_pair)
    broker_keys: KeyPair = field(default_factory=key_pair)
    admitted: dict[WorkerId, str] = field(default_factory=dict)
    on_nodes: list[WorkerId] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of every broker, above those of the tests."""
    process: ForkServerProcess | None = None
    lifeline: tuple[Connection, Connection] | None = None
    """The lifeline: every broker gets the reader, the test keeps the writer."""

    @property
    def log_path(self) -> str:
        return os.path.join(self.directory, "log")

    def log(self) -> str:
        """Return what all brokers of this house have logged."""
        with open(self.log_path) as file:
            return file.read()

    @property
    def address(self) -> str:
        return f"ipc://{self.directory}/broker"

    @property
    def broadcast_address(self) -> str:
        return f"ipc://{self.directory}/changes"

    def spec(self) -> BrokerSpec:
        """Return what the next broker is told."""
        return BrokerSpec(
            id=WorkerId("broker"),
            keys=self.broker_keys,
            supervisor_pid=os.getpid(),
            codex_home=self.home,
            runtime_directory=self.directory,
            log_level="debug",
            address=self.address,
            broadcast_address=self.broadcast_address,
            supervisor_key=self.keys.public,
            admitted=self.admitted,
            on_nodes=tuple(self.on_nodes),
            secrets=self.secrets,
            **self.spec_fields,  # type: ignore[arg-type]
        )

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start a broker. It need not be ready: a client that connects waits."""
        if self.lifeline is None:
            self.lifeline = FORKSERVER.Pipe(duplex=False)
        reader, _ = self.lifeline
        self.process = FORKSERVER.Process(
            target=_live, args=(self.spec(), {**self.environment, **(environment or {})}, reader, self.log_path)
        )
        self.process.start()

    def kill(self) -> None:
        """Kill the broker as a crash would, and wait until it is gone."""
        assert self.process is not None
        assert self.process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()

    def join(self) -> int | None:
        """Wait until the broker is gone and return its exit status."""
        assert self.process is not None
        self.process.join()
        return self.process.exitcode

    def is_gone(self, seconds: float) -> bool:
        """Return whether the broker ends within some seconds."""
        assert self.process is not None
        self.process.join(seconds)
        return self.process.exitcode is not None

    def stop(self) -> int | None:
        """Let go of the broker's lifeline and return its exit status."""
        if self.lifeline is not None:
            for end in self.lifeline:
                end.close()
            self.lifeline = None
        if self.process is not None:
            self.process.join()
        return None if self.process is None else self.process.exitcode

    def terminate(self) -> None:
        """Ask the broker to leave."""
        assert self.process is not None
        self.process.terminate()

    def worker(self, name: str, *, listens: bool = False, on_node: bool = False) -> WorkerSpec:
        """Return the birth of a worker; it is admitted by the next broker that starts, or by `attach`."""
        keys = key_pair()
        self.admitted[WorkerId(name)] = keys.public
        if on_node:
            self.on_nodes.append(WorkerId(name))
        return WorkerSpec(
            id=WorkerId(name),
            keys=keys,
            supervisor_pid=os.getpid(),
            codex_home=self.home,
            runtime_directory=self.directory,
            log_level="warning",
            mailbox_address="",
            mailbox_key="",
            events_path=f"{self.directory}/events",  # a worker of this machine has some
            events_ticket=b"",
            broker_address=self.address,
            broker_key=self.broker_keys.public,
            broadcast_address=self.broadcast_address if listens else "",
        )

    def link(self, context: "zmq.Context[zmq.Socket[bytes]]", on_broadcast: OnBroadcast | None = None) -> BrokerClient:
        """Return the supervisor's link. Needs a running loop."""
        return BrokerClient(context, self.keys, self.address, self.broker_keys.public, on_broadcast)


@contextlib.contextmanager
def house(home: str, **fields: object) -> Iterator[House]:
    """Give a house whose broker is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gr-") as directory:
        made = House(home, directory, **fields)  # type: ignore[arg-type]
        try:
            yield made
        finally:
            made.stop()
