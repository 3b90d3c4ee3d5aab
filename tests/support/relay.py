"""Executed in place of the program: it has a template fork the program, with its own streams, variables and directory.

It ends when the program does, and as it does. It imports little, since others execute it that expect the program soon.
"""

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

_LONGEST = 64
"""Bytes of a message; an order itself is in a file."""
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def ask(template: socket.socket, order: Mapping[str, object], streams: Sequence[int] = ()) -> int:
    """Give an order to a template (`tests/support/template_process.py`), and return its answer."""
    with os.fdopen(os.memfd_create("order"), "r+b") as file:  # since a message on the socket is limited
        file.write(json.dumps(order).encode())
        file.seek(0)
        socket.send_fds(template, [b"order"], [file.fileno(), *streams])
    answer = template.recv(_LONGEST)
    assert answer, "the template has ended"
    return int(answer)


def ends(pid: int, within: float | None = None) -> bool:
    """Wait for the end of a child of the template; tell whether it ended within so many seconds."""
    descriptor = os.pidfd_open(pid)  # it is there, at least as a zombie, until its status has been asked for
    try:
        return bool(select.select((descriptor,), (), (), within)[0])
    finally:
        os.close(descriptor)


def main(address: str, *arguments: str) -> None:
    """Have the program run with these arguments."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as template:
        template.connect(address)
        order = {"statement": None, "arguments": arguments, "environment": dict(os.environ), "cwd": os.getcwd()}
        pid = ask(template, order, (0, 1, 2))
        for number in _PASSED_ON:
            signal.signal(number, lambda received, _: os.kill(pid, received))
        for stream in range(3):
            os.close(stream)
        ends(pid)
        status = os.waitstatus_to_exitcode(ask(template, {"ended": pid}))
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)  # without the streams that the interpreter would flush


if __name__ == "__main__":
    main(*sys.argv[1:])
