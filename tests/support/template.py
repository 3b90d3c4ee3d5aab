"""Starts servers as forks of a process that has imported the program, so that not each of them imports it again."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.support import relay

MARKER: Final = "GREENROOM_TEST_RUN"
"""A variable that every process of a test inherits, by which it is found wherever it moves. Its value has 32 bytes."""
SEEDED: Final = {"GREENROOM_TEST_SEED": "1"}
"""A variable for a server whose fork server dies: all that it starts itself is then forked, not only the first. The
server does not get it."""
_PROCESS: Final = str(Path(__file__).with_name("template_process.py"))


class Template:
    """A process that forks servers (`tests/support/template_process.py`). It ends with the tests."""

    def __init__(self, preexec: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._directory = tempfile.TemporaryDirectory(prefix="gr-", dir="/tmp")
        self._address = os.path.join(self._directory.name, "template")
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self._address)
            listener.listen()
            handed_over = (theirs.fileno(), listener.fileno())
            self._process = subprocess.Popen(
                (sys.executable, "-I", _PROCESS, MARKER, *map(str, handed_over)),
                pass_fds=handed_over,
                env={**os.environ, MARKER: "0" * 32},
                preexec_fn=preexec,  # noqa: PLW1509 - nothing runs on other threads but the model
            )

    @property
    def command(self) -> tuple[str, ...]:
        """The command with which others start the program so; arguments of the program may follow."""
        return (sys.executable, "-IS", relay.__file__, self._address)

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        streams: Sequence[int],
        cwd: str | None = None,
        statement: str | None = None,
    ) -> "Started":
        """Start the program with these arguments, variables, descriptors of its three streams, and directory.

        A `statement` is executed first, when the program is imported.
        """
        order = {
            "statement": statement,
            "arguments": list(arguments),
            "environment": dict(environment),
            "cwd": cwd or os.getcwd(),
        }
        return Started(self, self._ask(order, streams))

    def is_(self, command: Sequence[str]) -> bool:
        """Tell whether this is what it was executed with, as its forks were then."""
        return tuple(command) == self._process.args

    def status(self, pid: int) -> int:
        """Return how a server that has ended did so (waitpid(2))."""
        return self._ask({"ended": pid})

    def close(self) -> None:
        self._socket.close()
        self._process.wait()
        self._directory.cleanup()

    def _ask(self, order: Mapping[str, object], streams: Sequence[int] = ()) -> int:
        with self._lock:
            return relay.ask(self._socket, order, streams)


class Started:
    """A server that was started so; to be used as a `subprocess.Popen`."""

    def __init__(self, template: Template, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._template = template

    def poll(self) -> int | None:
        """Return its exit status, or `None` while it runs."""
        return self.returncode if self.returncode is not None or not relay.ends(self.pid, 0.0) else self._reap()

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is not None:
            return self.returncode
        if not relay.ends(self.pid, timeout):
            assert timeout is not None
            raise subprocess.TimeoutExpired("greenroom", timeout)
        return self._reap()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _reap(self) -> int:
        self.returncode = os.waitstatus_to_exitcode(self._template.status(self.pid))
        return self.returncode
