"""Who may connect: answers ZeroMQ's authentication requests (ZAP, RFC 27) from a table of CURVE public keys.

A client whose key is not in the table does not get past the handshake. One whose key is there carries the name from the
table in the `User-Id` of each of its messages, which is what authority is decided by.
"""

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

import zmq
import zmq.utils.z85

from greenroom.runtime.zmq.zmq_stream import ZmqStream

log = logging.getLogger(__name__)

HANDSHAKE_MS: Final = 10_000
"""Milliseconds after which a connection is ended that has shown no key."""
_ZAP_ADDRESS = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_DOMAIN = b"greenroom"

LookUp: TypeAlias = Callable[[bytes], str | None]
"""Returns the name of the owner of a raw public key, `None` where nobody is known to have it.

Raises `TemporaryError`.
"""


class TemporaryError(Exception):
    """It cannot be said at the moment whose a key is. The client is not told, and tries again when its time for a
    handshake is over (RFC 27, status 300; ZMQ_HANDSHAKE_IVL)."""


class ZapAuthenticator:
    """The table of one ZeroMQ context. Must exist before the first server socket of that context is bound."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self._names: dict[bytes, str] = {}
        self._keys: dict[str, bytes] = {}
        self._domains: dict[bytes, LookUp] = {_DOMAIN: self._names.get}
        socket = context.socket(zmq.REP)
        socket.bind(_ZAP_ADDRESS)
        self._port = ZmqStream(socket, self._answer)

    def admit(self, public_key: str, name: str) -> None:
        """Admit clients that prove to hold the secret half of `public_key` (Z85), under `name`."""
        key = zmq.utils.z85.decode(public_key)
        self._names[key] = name
        self._keys[name] = key

    def revoke(self, name: str) -> None:
        """Admit no client under `name` any more. Connections that stand are the caller's to drop."""
        key = self._keys.pop(name, None)
        if key is not None:
            del self._names[key]

    def serve_domain(self, domain: bytes, look_up: LookUp) -> None:
        """Let `look_up` decide about sockets of another domain; owners of keys in the table have no access to them."""
        self._domains[domain] = look_up

    def close(self) -> None:
        """Stop answering; handshakes then fail."""
        self._port.close()

    def _answer(self, frames: list[zmq.Frame]) -> None:
        parts = [frame.bytes for frame in frames]
        request_id = parts[1] if len(parts) > 1 else b""
        look_up = self._domains.get(parts[2]) if len(parts) == 7 and parts[5] == b"CURVE" else None
        try:
            name = None if look_up is None else look_up(parts[6])
            status, text = (b"400", b"unknown key") if name is None else (b"200", b"OK")
        except TemporaryError as error:
            log.error("keys cannot be looked up: %s", error)
            name, status, text = None, b"300", b"keys cannot be looked up"
        self._port.send([_VERSION, request_id, status, text, (name or "").encode(), b""])


def start_authenticator(socket: "zmq.Socket[bytes]", public_key: str, secret_key: str, domain: bytes = _DOMAIN) -> None:
    """Have a socket, before it is bound, let in only whom the admission of its context admits (keys in Z85).

    ZeroMQ would admit every client where no handler answers for the context; that the domain is enforced forbids it.
    """
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public_key.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret_key.encode())
    socket.setsockopt(zmq.ZAP_DOMAIN, domain)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


def sender(frame: zmq.Frame) -> str:
    """Return the name under which the sender of a message was admitted; empty where it was not authenticated."""
    try:
        name = frame.get("User-Id")
    except zmq.ZMQError:
        return ""
    return name if isinstance(name, str) else ""
