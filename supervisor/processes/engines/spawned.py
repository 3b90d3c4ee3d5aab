"""The entry point of a spawned process: a fresh interpreter that receives its spec on a socket."""

import gc
import os
import socket
from typing import NoReturn

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.internal.process import Spawn, read_datagram
from greenroom.runtime.process import hardening
from greenroom.runtime.process.launch import CONTROL, DATAGRAM
from greenroom.supervisor.processes.engines.roles import become


def main() -> NoReturn:
    """Read one spec from descriptor 3 and run it."""
    hardening.make_undumpable()
    hardening.adopt_orphans()
    with socket.socket(fileno=os.dup(CONTROL)) as control:
        message = read_datagram(control.recv(DATAGRAM))
    if not isinstance(message, Spawn):
        raise RemoteProtocolError("a spawned process was sent something else than its spec")
    gc.enable()
    become(message.spec)
