"""Listeners of a host that gives way: a client is served by it, or left to the process that has the socket as well."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from greenroom.config.defaults import Limits
from greenroom.config.tables.http import HttpTable
from greenroom.runtime.sockets import socket_file
from greenroom.supervisor.frontend import unix_listener
from greenroom.supervisor.frontend.connection import Connection
from greenroom.supervisor.frontend.http.address import ListenAddress
from greenroom.supervisor.frontend.http.listener import HttpListener
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.frontend.slow_reader import Patience
from greenroom.supervisor.frontend.unix_listener import UnixListener

STEPS = range(6)
"""Steps of the loop between the coming of clients and the release: before, within and behind all of accepting."""
CLIENTS = 3
REFUSED = b'{"protocol":"no such protocol","version":1}\n'
BARE = b"GET /mcp HTTP/1.1\r\nHost: nobody\r\n\r\n"


class Intake:
    """Takes nobody in."""

    def attach(self, connection: Connection) -> None:
        raise AssertionError(f"{connection} is not to come so far")

    def refusal(self) -> str | None:
        return None


def nobody(_: socket.socket) -> int:
    return 0


async def at_http(tmp_path: Path) -> tuple[HttpListener, int, Callable[[], socket.socket]]:
    listener = HttpListener(HttpTable(), ListenAddress("127.0.0.1", 0), "token", lambda: Front(lambda _: None, {}))
    await listener.start(Intake())
    port = listener.address.port
    return listener, listener.descriptor, lambda: socket.create_connection(("127.0.0.1", port))


async def at_the_socket(tmp_path: Path) -> tuple[UnixListener, int, Callable[[], socket.socket]]:
    path = os.path.relpath(tmp_path / "host.sock")  # short, because the addresses of sockets are limited
    listening = socket_file.open_socket(path)
    patience = Patience(Limits().slow_client, Limits().client_buffer)
    listener = UnixListener(listening, MappingProxyType({}), "", nobody, 5.0, patience, path)
    await listener.start(Intake())

    def connect() -> socket.socket:
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(path)
        return connected

    return listener, listener.descriptor, connect


Start = Callable[[Path], Awaitable[tuple[HttpListener | UnixListener, int, Callable[[], socket.socket]]]]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("start", "said"), [(at_http, BARE), (at_the_socket, REFUSED)], ids=["http", "socket"])
def test_a_client_that_comes_at_that_moment_is_answered_by_one_or_the_other(
    start: Start, said: bytes, steps: int, tmp_path: Path
) -> None:
    async def scene() -> None:
        listener, descriptor, connect = await start(tmp_path)
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            other = stack.enter_context(socket.socket(fileno=os.dup(descriptor)))
            await asyncio.sleep(0.01)  # it waits for clients
            clients = [stack.enter_context(connect()) for _ in range(CLIENTS)]
            for client in clients:
                client.sendall(said)
                client.setblocking(False)
            for _ in range(steps):
                await asyncio.sleep(0)
            listener.release()
            left = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.accept()[0].close()
                    left += 1
            answers = 0
            for client in clients:
                with contextlib.suppress(ConnectionResetError, TimeoutError):
                    async with asyncio.timeout(5):
                        answers += bool(await loop.sock_recv(client, 65536))
            assert answers + left == CLIENTS
            while not listener.is_at_rest:
                await asyncio.sleep(0)
            await listener.close()

    asyncio.run(scene())


def test_clients_that_have_not_said_what_they_speak_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix_listener, "MOST_ARRIVING", 2)

    async def scene() -> None:
        listener, _, connect = await at_the_socket(tmp_path)
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(connect()) for _ in range(2)]
            client = stack.enter_context(connect())
            client.sendall(REFUSED)
            client.setblocking(False)
            for _ in range(10):
                await asyncio.sleep(0)
            with pytest.raises(BlockingIOError):
                client.recv(1)
            silent[0].close()
            async with asyncio.timeout(10):
                assert await loop.sock_recv(client, 65536)
            await listener.close()

    asyncio.run(scene())
