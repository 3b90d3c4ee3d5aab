"""The connection between an old host and the one that replaces it: lines with descriptors, on the running loop."""

import array
import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from greenroom.protocol.jsonrpc import LineBuffer
from greenroom.supervisor.startup.replacement.messages import LONGEST

READ_SIZE: Final = 256 * 1024
MOST_DESCRIPTORS: Final = 16
"""Descriptors that are received at once; a message has three at most."""
_CLOSE_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Received(NamedTuple):
    """A line, and the link's queue of descriptors from which it takes its own."""

    line: bytes
    descriptors: deque[int]


class Link:
    """One end. Descriptors that it has received and that were not taken are closed with it."""

    def __init__(
        self, connected: socket.socket, on_line: Callable[[Received], None], on_end: Callable[[], None]
    ) -> None:
        """Reads at once. `on_end` is called once, when the other end is gone or has sent what is no line."""
        connected.setblocking(False)
        self._socket = connected
        self._on_line, self._on_end = on_line, on_end
        self._loop = asyncio.get_running_loop()
        self._lines = LineBuffer(LONGEST)
        self._descriptors: deque[int] = deque()
        self._unsent: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self._is_writing = self.is_closed = False
        self._loop.add_reader(connected.fileno(), self._on_readable)

    def send(self, line: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a line with copies of descriptors, which stay the caller's. Void once the link is closed."""
        if self.is_closed:
            return
        self._unsent.append((memoryview(line), tuple(os.dup(descriptor) for descriptor in descriptors)))
        if not self._is_writing:
            self._flush()

    def has_left(self) -> bool:
        """Tell whether the other end is gone already, beyond what it has sent before."""
        try:
            return self.is_closed or not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """End the link; what was not sent is dropped."""
        if self.is_closed:
            return
        self.is_closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        for descriptor in (*self._descriptors, *(one for _, sent in self._unsent for one in sent)):
            os.close(descriptor)
        self._descriptors.clear()
        self._unsent.clear()

    def _on_readable(self) -> None:
        space = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(READ_SIZE, space, _CLOSE_ON_EXEC)
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        for level, kind, rights in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._keep(rights)
        if not data:
            self._end()
            return
        for line in self._lines.feed(data):
            if line is None:
                self._end()
            elif not self.is_closed:
                self._on_line(Received(line, self._descriptors))

    def _keep(self, rights: bytes) -> None:
        received = array.array("i")
        received.frombytes(rights[: len(rights) - len(rights) % received.itemsize])
        for descriptor in received:
            os.set_inheritable(descriptor, False)  # also where the flag is not known
            self._descriptors.append(descriptor)

    def _flush(self) -> None:
        while self._unsent and not self.is_closed:
            data, descriptors = self._unsent[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            try:
                count = self._socket.sendmsg([data], rights)
            except BlockingIOError:
                break
            except OSError:
                self._end()
                return
            for descriptor in descriptors:  # they travel with the first byte
                os.close(descriptor)
            self._unsent[0] = (data[count:], ())
            if count == len(data):
                self._unsent.popleft()
        self._write_on(bool(self._unsent))

    def _write_on(self, more: bool) -> None:
        if self.is_closed or more == self._is_writing:
            return
        self._is_writing = more
        if more:
            self._loop.add_writer(self._socket.fileno(), self._flush)
        else:
            self._loop.remove_writer(self._socket.fileno())

    def _end(self) -> None:
        if not self.is_closed:
            self.close()
            self._on_end()
