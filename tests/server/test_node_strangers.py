"""Whoever reaches the ports for nodes without a key: what the host holds of them, and for how long."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil
import pytest
import zmq

from greenroom.config.tables.nodes import PORTS
from greenroom.demo.script import Text, rule
from greenroom.runtime.zmq import zap
from greenroom.runtime.zmq.zap import start_authenticator
from greenroom.supervisor.processes.endpoints import key_pair
from tests.support.deadline import until
from tests.support.host import hosting
from tests.support.nodes import free_ports, settings
from tests.support.stage import Stage

GREETING: Final = b"\xff" + b"\0" * 8 + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + b"\0" * 32
"""What a connection of ZeroMQ begins with (ZMTP 3.1)."""
LARGE_COMMAND: Final = 6
MB: Final = 1_000_000


@contextmanager
def greeted(port: int) -> Iterator[socket.socket]:
    """Connect, and exchange greetings, after which a handshake would follow."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(GREETING)
        heard = b""
        while len(heard) < len(GREETING):
            heard += connection.recv(len(GREETING) - len(heard))
        yield connection


def is_ended(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1)
    except ConnectionResetError:
        return True


@pytest.mark.server
@pytest.mark.timeout(120)
def test_who_has_no_key_has_the_host_hold_less_than_a_megabyte(stage: Stage) -> None:
    port = free_ports()
    stage.play(rule("hello", [Text("Good day.")]), more=settings(port))
    with hosting(stage) as host:
        host.client()
        for number in range(port, port + PORTS):
            until(lambda number=number: _listens(number), 20)  # type: ignore[misc]
            with greeted(number) as connection:
                connection.sendall(bytes((LARGE_COMMAND,)) + struct.pack(">Q", MB))
                assert is_ended(connection), f"port {number} takes a frame of a megabyte"
        before = _held(host.pid)
        with greeted(port + 1) as connection, pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            connection.sendall(bytes((LARGE_COMMAND,)) + struct.pack(">Q", 200 * MB) + b"x" * (200 * MB))
        assert _held(host.pid) - before < 20 * MB


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _held(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def test_who_shows_no_key_is_ended_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time counts from the connection on."""
    assert zap.HANDSHAKE_MS == 10_000
    monkeypatch.setattr(zap, "HANDSHAKE_MS", 200)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    keys, server = key_pair(), context.socket(zmq.ROUTER)
    try:
        start_authenticator(server, keys.public, keys.secret)
        with greeted(server.bind_to_random_port("tcp://127.0.0.1")) as connection:
            assert is_ended(connection), "within the time that the test has, and not in half a minute"
    finally:
        context.destroy(linger=0)
