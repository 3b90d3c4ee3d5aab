"""A run of `greenroom exec` whose turn is run by the running host of the home: it passes on what the host tells."""

import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from greenroom.supervisor.frontend.exec.handover import MARK, PROTOCOL, Handover, RunOutcome
from greenroom.supervisor.startup.attach import CANNOT, find_host

if TYPE_CHECKING:
    from _socket import socket
    from types import FrameType

READ_SIZE: Final = 256 * 1024
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HOST_ENDED: Final = RunOutcome(error="the host has ended; the conversation can be resumed")


def find_exec_host(home: str, mode: str) -> "tuple[socket, bytes] | int | None":
    """Return a host that has let this run in, with what it has sent; a status where the run is not to go on.

    `None`: the run is to be a server itself.
    """
    found = find_host(home, mode, PROTOCOL)
    if found is None and mode == "require":
        sys.stderr.write(f"greenroom: no host serves {home}; `greenroom serve` starts one\n")
        return CANNOT
    return None if isinstance(found, int) and mode == "auto" else found


class HandedOver:
    """One run at a host."""

    def __init__(self, host: "socket", received: bytes, output: int) -> None:
        """`received` is what the host has sent after its hello. What it tells is written to `output`."""
        self._host = host
        self._received = received
        self._output = output
        self.ended_by: signal.Signals | None = None
        """The first signal that told the run to end."""

    def run(self, handover: Handover) -> RunOutcome:
        """Have the turn run, and return how it has ended. A signal, or the end of the reader, interrupts it."""
        self._host.setblocking(True)
        for number in SIGNALS:
            signal.signal(number, self._signalled)
        try:
            self._host.sendall(msgspec.json.encode(handover) + b"\n")
            return self._pass_on()
        except OSError:  # it was killed
            return _HOST_ENDED
        finally:
            self._host.close()

    def _pass_on(self) -> RunOutcome:
        poll = select.poll()
        poll.register(self._host.fileno(), select.POLLIN)
        poll.register(self._output, 0)  # an error there means that its reader is gone
        while True:
            text, mark, rest = self._received.partition(MARK)
            self._write(text)
            self._received = mark + rest
            if b"\n" in rest:
                return msgspec.json.decode(rest.partition(b"\n")[0], type=RunOutcome)
            if any(descriptor == self._output for descriptor, _ in poll.poll()):
                poll.unregister(self._output)
                self._leave()
                continue
            data = self._host.recv(READ_SIZE)
            if not data:
                return _HOST_ENDED
            self._received += data

    def _write(self, text: bytes) -> None:
        try:
            while text:
                text = text[os.write(self._output, text) :]
        except OSError:
            self._leave()

    def _signalled(self, number: int, _: "FrameType | None") -> None:
        self.ended_by = self.ended_by or signal.Signals(number)
        self._leave()

    def _leave(self) -> None:
        """Tell the host that this run is leaving; it interrupts the turn, and tells so."""
        try:
            self._host.shutdown(1)  # SHUT_WR
        except OSError:
            return
