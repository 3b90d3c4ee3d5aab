"""Asks running instances on their control sockets, all at once, each with a time-out."""

import contextlib
import selectors
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from greenroom.supervisor.control.control_messages import ControlReply, ControlRequest, control_line, read_control_reply

TIMEOUT: Final = 1.0
"""Seconds after which an instance counts as one that does not answer."""
MAX_REPLY: Final = 64 * 1024 * 1024
_READ: Final = 256 * 1024

ContactOutcome: TypeAlias = Literal["answered", "silent", "shut", "garbled"]
"""`silent`: no answer in time. `shut`: nothing listens. `garbled`: the answer is no reply that this version knows."""


@dataclass(frozen=True, slots=True)
class ControlResponse:
    """The outcome of one request."""

    outcome: ContactOutcome
    reply: ControlReply | None = None
    """Only of an instance that answered."""
    seconds: float = 0.0
    """How long it took."""


@dataclass(slots=True, eq=False)
class _Line:
    """One open connection."""

    path: str
    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)


def ask(paths: Collection[str], request: ControlRequest, timeout_s: float = TIMEOUT) -> dict[str, ControlResponse]:
    """Send a request to the sockets at these paths, and return the outcome of each."""
    begun = time.monotonic()
    responses: dict[str, ControlResponse] = {}
    with selectors.DefaultSelector() as selector:
        try:
            for path in dict.fromkeys(paths):
                _open(path, control_line(request), selector, responses)
            while selector.get_map() and (left := begun + timeout_s - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    _read(key.data, selector, responses, begun)
        finally:
            for key in list(selector.get_map().values()):
                key.data.socket.close()
    seconds = time.monotonic() - begun
    return {path: responses.get(path, ControlResponse("silent", seconds=seconds)) for path in paths}


def _open(path: str, request: bytes, selector: selectors.BaseSelector, responses: dict[str, ControlResponse]) -> None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        connection.connect(path)
    except BlockingIOError:  # its queue is full of other requests
        connection.close()
    except OSError:
        connection.close()
        responses[path] = ControlResponse("shut")
    else:
        with contextlib.suppress(BrokenPipeError):  # refused already, and its answer can be read
            connection.send(request)
        selector.register(connection, selectors.EVENT_READ, _Line(path, connection))


def _read(one: _Line, selector: selectors.BaseSelector, responses: dict[str, ControlResponse], begun: float) -> None:
    try:
        data = one.socket.recv(_READ)
    except BlockingIOError:
        return
    except OSError:
        data = b""
    one.received += data
    if data and len(one.received) <= MAX_REPLY:
        return
    selector.unregister(one.socket)
    one.socket.close()
    responses[one.path] = _understood(bytes(one.received), time.monotonic() - begun)


def _understood(data: bytes, seconds: float) -> ControlResponse:
    if not data:  # closed: it is about to end
        return ControlResponse("shut", seconds=seconds)
    try:
        return ControlResponse("answered", read_control_reply(data), seconds)
    except ValueError:
        return ControlResponse("garbled", seconds=seconds)
