"""A process that asks to replace a host, and does only what a test tells it to."""

import json
import socket
from types import TracebackType
from typing import Any, Self

from greenroom.supervisor.control import instances
from tests.support.deadline import until
from tests.support.host import TIMEOUT, Host
from tests.support.stage import Stage


class Asker:
    """At the control socket of a host."""

    def __init__(self, stage: Stage, host: Host) -> None:
        parent = str(stage.runtime / "greenroom")
        found = until(lambda: [one for one in instances.running([parent]) if one.instance.pid == host.pid], TIMEOUT)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT)
        self._socket.connect(found[0].control)
        self._received = b""
        self.descriptors: list[int] = []

    def ask(self, version: int = 1, program: str = "0.0") -> dict[str, Any]:
        """Ask to take over, and return the answer."""
        self.send(do="hand_over", version=version, program=program)
        return self.receive()

    def send(self, **members: object) -> None:
        self._socket.sendall(json.dumps(members).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """Return the next message; empty at the end."""
        while b"\n" not in self._received:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 65536, 16)
            self.descriptors += descriptors
            if not data:
                return {}
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        for descriptor in self.descriptors:
            socket.close(descriptor)
