"""Only clients with an admitted key are admitted, and the key determines the name."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import zmq
import zmq.utils.z85

from greenroom.runtime.zmq.zap import TemporaryError, ZapAuthenticator, sender, start_authenticator
from greenroom.runtime.zmq.zmq_stream import ZmqStream
from tests.support.loop import on_loop, until

SHORT = 0.2
"""Seconds in which an admitted peer would have been heard long ago."""


class Door:
    """A server socket behind an admission, and what it hears."""

    def __init__(self, directory: str) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.address = f"ipc://{directory}/door"
        self.public, secret = zmq.curve_keypair()
        self.admission = ZapAuthenticator(self.context)
        self.heard: list[tuple[str, bytes]] = []
        socket = self.context.socket(zmq.ROUTER)
        start_authenticator(socket, self.public.decode(), secret.decode())
        socket.bind(self.address)
        self.port = ZmqStream(socket, lambda frames: self.heard.append((sender(frames[-1]), frames[-1].bytes)))
        self._clients: list[zmq.Socket[bytes]] = []

    def knock(
        self, keys: tuple[bytes, bytes], said: bytes, server_key: bytes | None = None, patience_ms: int = 30_000
    ) -> "zmq.Socket[bytes]":
        """Connect under a key pair and say something. `patience_ms`: time of one handshake."""
        client = self.context.socket(zmq.DEALER)
        client.setsockopt(zmq.HANDSHAKE_IVL, patience_ms)
        client.setsockopt(zmq.LINGER, 0)
        client.curve_serverkey = server_key or self.public
        client.curve_publickey, client.curve_secretkey = keys
        client.connect(self.address)
        client.send(said)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.port.close()
        self.admission.close()
        self.context.destroy(linger=0)


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    with tempfile.TemporaryDirectory(prefix="gr-", dir="/tmp") as directory:
        opened = Door(directory)
        try:
            yield opened
        finally:
            opened.close()


@on_loop
async def test_the_name_follows_the_key() -> None:
    async with door() as opened:
        ada, bob = zmq.curve_keypair(), zmq.curve_keypair()
        opened.admission.admit(ada[0].decode(), "ada")
        opened.admission.admit(bob[0].decode(), "bob")
        opened.knock(ada, b"I am bob")
        opened.knock(bob, b"hello")
        await until(lambda: len(opened.heard) == 2)
        assert set(opened.heard) == {("ada", b"I am bob"), ("bob", b"hello")}


@on_loop
async def test_an_unknown_key_is_not_heard() -> None:
    async with door() as opened:
        opened.knock(zmq.curve_keypair(), b"let me in")
        with pytest.raises(TimeoutError):
            await until(lambda: opened.heard, within=SHORT)


@on_loop
async def test_who_knows_only_the_public_half_is_not_heard() -> None:
    async with door() as opened:
        ada, other = zmq.curve_keypair(), zmq.curve_keypair()
        opened.admission.admit(ada[0].decode(), "ada")
        opened.knock((ada[0], other[1]), b"I am ada")
        with pytest.raises(TimeoutError):
            await until(lambda: opened.heard, within=SHORT)


@on_loop
async def test_who_speaks_without_a_key_is_not_heard() -> None:
    async with door() as opened:
        plain = opened.context.socket(zmq.DEALER)
        plain.setsockopt(zmq.LINGER, 0)
        plain.connect(opened.address)
        plain.send(b"hello")
        opened._clients.append(plain)
        with pytest.raises(TimeoutError):
            await until(lambda: opened.heard, within=SHORT)


@on_loop
async def test_a_key_that_is_revoked_does_not_get_in_again() -> None:
    async with door() as opened:
        ada = zmq.curve_keypair()
        opened.admission.admit(ada[0].decode(), "ada")
        first = opened.knock(ada, b"first")
        await until(lambda: opened.heard)
        first.close()
        opened.admission.revoke("ada")
        opened.admission.revoke("ada")
        opened.admission.revoke("nobody")
        opened.knock(ada, b"second")
        with pytest.raises(TimeoutError):
            await until(lambda: len(opened.heard) > 1, within=SHORT)


@on_loop
async def test_a_key_admitted_later_gets_in() -> None:
    async with door() as opened:
        ada = zmq.curve_keypair()
        opened.admission.admit(ada[0].decode(), "ada")
        opened.knock(ada, b"hello")
        await until(lambda: opened.heard == [("ada", b"hello")])


@on_loop
async def test_a_closed_admission_lets_nobody_in() -> None:
    async with door() as opened:
        opened.admission.close()
        opened.knock(zmq.curve_keypair(), b"hello")
        with pytest.raises(TimeoutError):
            await until(lambda: opened.heard, within=SHORT)


@on_loop
async def test_nobody_vouches_for_a_message_of_an_open_socket() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    server, client = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    server.bind("inproc://open")
    client.connect("inproc://open")
    client.send(b"I am ada")
    assert sender(server.recv(copy=False)) == ""
    server.close()
    client.close()
    context.term()


@on_loop
async def test_a_key_that_cannot_be_looked_up_is_not_refused_and_gets_in_later() -> None:
    asked: list[bytes] = []

    def look_up(key: bytes) -> str:
        asked.append(key)
        if len(asked) < 3:
            raise TemporaryError("the table cannot be read")
        return "ada"

    async with door() as opened:
        opened.admission.serve_domain(b"greenroom", look_up)
        opened.knock(zmq.curve_keypair(), b"hello", patience_ms=250)
        await until(lambda: opened.heard == [("ada", b"hello")])
        assert len(asked) == 3, "the client has tried again by itself"
