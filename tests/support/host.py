"""A host as a process, and clients at its socket."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from greenroom.runtime.sockets.host_socket import socket_name
from greenroom.supervisor.startup.host_lock import NAME
from tests.support import processes
from tests.support.client import Client
from tests.support.deadline import until
from tests.support.server import MODULE, launch, run
from tests.support.stage import Stage

PROGRAM_OF_HOST = (*MODULE, "serve")
HELLO: Mapping[str, object] = {"protocol": "mcp", "version": 1}
TIMEOUT = 20.0


class SocketClient(Client):
    """A client at a host's socket."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        super().__init__(os.dup(self.socket.fileno()), os.dup(self.socket.fileno()))

    def say_hello(self, **more: object) -> dict[str, Any]:
        """Send a hello, and return the answer."""
        self.send_bytes(json.dumps({**HELLO, **more}, separators=(",", ":")).encode() + b"\n")
        answer: dict[str, Any] = json.loads(self._line(deadline_in(TIMEOUT)))
        return answer

    def hang_up(self) -> None:
        """End what this client sends, and go on reading."""
        if self._to >= 0:
            self.socket.shutdown(socket.SHUT_WR)
        super().hang_up()

    def leave(self) -> None:
        """Close the connection."""
        self.hang_up()
        self.stop_listening()
        self.socket.close()

    def ended(self, within: float = TIMEOUT) -> list[dict[str, Any]]:
        """Read until the host closes the connection, and return all messages."""
        return self.read_to_end(within)


class Host:
    """One run of `greenroom serve`. Leaves with `end`."""

    def __init__(self, stage: Stage, *arguments: str, **environment: str) -> None:
        self.path = str(stage.runtime / "greenroom" / socket_name(str(stage.home.path)))
        self._lock = stage.home.path / NAME
        self._clients: list[SocketClient] = []
        self.log: Path = stage.log
        with stage.log.open("ab") as told, open(os.devnull, "rb") as nothing:
            streams = (nothing.fileno(), told.fileno(), told.fileno())
            command = (*PROGRAM_OF_HOST, *arguments)
            self.process = launch(command, stage.environment(**environment), streams, stage.template)

    @property
    def pid(self) -> int:
        return self.process.pid

    def await_socket(self) -> None:
        """Wait until it listens, which it says in its lock."""
        until(lambda: self._has_lock() or self.process.poll() is not None, TIMEOUT)
        assert self.process.poll() is None, self.log.read_text(errors="replace")

    def _has_lock(self) -> bool:
        try:
            return bool(json.loads(self._lock.read_bytes())["pid"] == self.pid)
        except (FileNotFoundError, ValueError):
            return False

    def connect(self) -> SocketClient:
        """Return a client that has sent nothing."""
        self.await_socket()
        client = SocketClient(self.path)
        self._clients.append(client)
        return client

    def client(self, **capabilities: object) -> SocketClient:
        """Return a client after hello and handshake."""
        client = self.connect()
        assert client.say_hello()["ok"]
        client.initialize(capabilities=capabilities)
        return client

    def workers(self) -> list[psutil.Process]:
        return processes.named(processes.tree(self.pid), "gr-worker")

    def wait(self, within: float = TIMEOUT) -> int:
        return self.process.wait(within)

    def end(self) -> int:
        """Stop the host without waiting for turns, and return its exit code."""
        for client in self._clients:
            client.leave()
        self.process.terminate()
        until(lambda: not os.path.exists(self.path) or self.process.poll() is not None, TIMEOUT)
        self.process.terminate()  # not sooner, because two signals that wait are one
        return self.wait()


@contextmanager
def hosting(stage: Stage, *arguments: str, **environment: str) -> Iterator[Host]:
    """Start a host, and end it."""
    host = Host(stage, *arguments, **environment)
    try:
        yield host
    finally:
        host.end()


def deadline_in(seconds: float) -> float:
    """Return a moment of the monotonic clock."""
    return time.monotonic() + seconds


def status(stage: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one of the commands of operators."""
    return run((*MODULE, *words), stage.environment(), stage.template)


def clients(stage: Stage) -> list[dict[str, Any]]:
    """Return the clients of the hosts of a stage's home, as `status` tells of them."""
    return [client for report in reports(stage) for client in report["clients"]]


def reports(stage: Stage) -> list[dict[str, Any]]:
    """Return what `status` tells of the instances of a stage's home."""
    instances = json.loads(status(stage, "status", "--json").stdout)["instances"]
    told = [one["report"] for one in instances if one["instance"]["codex_home"] == str(stage.home.path)]
    return [report for report in told if report is not None]
