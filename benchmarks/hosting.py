"""The host that attached clients share, started on a home until they have left."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from benchmarks.client import SubjectError
from benchmarks.resources import at_rest
from greenroom.config.defaults import IDLE_WORKERS
from greenroom.runtime.sockets.host_socket import candidates

_START_SECONDS: Final = 30.0
_PAUSE: Final = 0.01


@contextmanager
def hosting(program: str, home: str, environment: Mapping[str, str]) -> Iterator[int]:
    """Start a host on a home, and provide its pid once it is at rest. Raises `SubjectError`.

    It listens before it has imported what it needs, so that early clients wait instead of failing: a client that comes
    then waits for the rest of the start, in which host and fork server have both cores.
    """
    with open(os.path.join(home, "host.log"), "ab") as log:
        process = subprocess.Popen(
            (program, "serve"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
    try:
        _await_socket(process, home, environment)
        at_rest(process.pid, environment, (), IDLE_WORKERS)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_socket(process: "subprocess.Popen[bytes]", home: str, environment: Mapping[str, str]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if any(_listens(path) for path in candidates(home, environment)):
            return
        time.sleep(_PAUSE)
    raise SubjectError(f"the host on {home} does not listen")


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return True
