"""The other way to be born: a fresh interpreter that is told its birth on a socket."""

import gc
import os
import socket
from typing import NoReturn

from protocol.birth import GiveBirth, read_datagram
from protocol.errors import RemoteProtocolError
from runtime import hardening
from supervisor.launch import CONTROL, DATAGRAM
from supervisor.roles import become


def main() -> NoReturn:
    """Read one birth from descriptor 3 and become it."""
    hardening.make_undumpable()
    hardening.adopt_orphans()
    with socket.socket(fileno=os.dup(CONTROL)) as control:
        message = read_datagram(control.recv(DATAGRAM))
    if not isinstance(message, GiveBirth):
        raise RemoteProtocolError("a spawned process was told something else than its birth")
    gc.enable()
    become(message.birth)
