"""Starts servers as forks of a process that has imported the program, so that not each of them imports it again.

The server and its first fork server are forked from the template instead of executed; all other processes come into
being as they always do. They have the variables, the streams and the session that they should have, and nothing of the
tests. What `/proc` says of their beginning (command line, environment) is that of the template, and memory that they
share with it is not their own: tests about that start the program itself.
"""

import contextlib
import fcntl
import gc
import importlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn

IMPORTED: Final = (
    "greenroom.supervisor.main",
    "greenroom.supervisor.cli.command_line",
    "greenroom.supervisor.startup.server",
    "greenroom.supervisor.startup.processes",
    "greenroom.supervisor.frontend.mcp.front",
    "greenroom.supervisor.frontend.mcp.services",
    "greenroom.supervisor.processes.fork_server",
)
_LONGEST: Final = 64
"""Bytes of a message; an order itself is in a file."""
_SPARE: Final = 64
"""A descriptor beyond all that a server has when it starts its first process."""
_DEFAULT: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


class Template:
    """The process, as the tests see it. It ends with them."""

    def __init__(self, preexec: Callable[[], None]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-I", __file__, str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                preexec_fn=preexec,  # noqa: PLW1509 - nothing runs on other threads but the model
            )

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]) -> "Started":
        """Start the program with these arguments, variables, and descriptors of its three streams."""
        order = {"arguments": list(arguments), "environment": dict(environment), "cwd": os.getcwd()}
        return Started(self, self._ask(order, streams))

    def status(self, pid: int) -> int:
        """Return how a server that has ended did so (waitpid(2))."""
        return self._ask({"ended": pid})

    def close(self) -> None:
        self._socket.close()
        self._process.wait()

    def _ask(self, order: Mapping[str, object], streams: Sequence[int] = ()) -> int:
        with os.fdopen(os.memfd_create("order"), "r+b") as file:  # since a message on the socket is limited
            file.write(json.dumps(order).encode())
            file.seek(0)
            socket.send_fds(self._socket, [b"order"], [file.fileno(), *streams])
        answer = self._socket.recv(_LONGEST)
        assert answer, "the template has ended"
        return int(answer)


class Started:
    """A server that was started so; to be used as a `subprocess.Popen`."""

    def __init__(self, template: Template, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._template = template

    def poll(self) -> int | None:
        """Return its exit status, or `None` while it runs."""
        return self.returncode if self.returncode is not None or not _ends(self.pid, 0.0) else self._reap()

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is not None:
            return self.returncode
        if not _ends(self.pid, timeout):
            assert timeout is not None
            raise subprocess.TimeoutExpired("greenroom", timeout)
        return self._reap()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _reap(self) -> int:
        self.returncode = os.waitstatus_to_exitcode(self._template.status(self.pid))
        return self.returncode


def _ends(pid: int, within: float | None) -> bool:
    descriptor = os.pidfd_open(pid)  # it is there, at least as a zombie, until its status has been asked for
    try:
        return bool(select.select((descriptor,), (), (), within)[0])
    finally:
        os.close(descriptor)


# In the template


def _serve(orders: socket.socket) -> None:
    while (received := socket.recv_fds(orders, _LONGEST, 4))[0]:
        file, *streams = received[1]
        with os.fdopen(file, "rb") as text:
            order = json.load(text)
        answer = os.waitpid(order["ended"], 0)[1] if "ended" in order else _fork(order, streams, orders)
        for stream in streams:
            os.close(stream)
        orders.send(str(answer).encode())


def _fork(order: Mapping[str, object], streams: list[int], orders: socket.socket) -> int:
    pid = os.fork()
    if pid == 0:
        _become(order, streams, orders)
    return pid


def _become(order: "Mapping[str, object]", streams: list[int], orders: socket.socket) -> NoReturn:
    """Be the program, with the exit status that the interpreter would have."""
    status = 1
    try:
        orders.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        environment, arguments, cwd = order["environment"], order["arguments"], order["cwd"]
        assert isinstance(environment, dict)
        assert isinstance(arguments, list)
        os.chdir(str(cwd))
        os.environ.clear()
        os.environ.update(environment)
        sys.argv[1:] = arguments
        _be_another_process()
        _let_the_fork_server_be_forked()
        from greenroom.supervisor.main import main

        status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _be_another_process() -> None:
    """Make anew what modules note of their process and its time when they are imported."""
    from greenroom.supervisor.conversations import open_question
    from greenroom.supervisor.frontend import server_run

    importlib.reload(server_run)
    vars(open_question)["_serials"] = itertools.count(time.time_ns())


def _let_the_fork_server_be_forked() -> None:
    """Replace what starts processes, until it has started the first one: later this process is no longer as new."""
    from greenroom.runtime import launch
    from greenroom.runtime.spawn import spawn as executed

    def forked(statement: str, environment: Mapping[str, str], inherited: Mapping[int, int]) -> int:
        vars(launch)["spawn"] = executed
        if statement != launch.FORK_SERVER:
            return executed(statement, environment, inherited)
        return os.fork() or _be_started(statement, environment, inherited)

    vars(launch)["spawn"] = forked


def _be_started(statement: str, environment: Mapping[str, str], inherited: Mapping[int, int]) -> NoReturn:
    """Be what `greenroom.runtime.spawn` would have started."""
    status = 1
    try:
        os.setsid()
        kept = {number: fcntl.fcntl(source, fcntl.F_DUPFD, _SPARE) for number, source in inherited.items()}
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        for number, spare in kept.items():
            os.dup2(spare, number)
        os.closerange(1 + max(inherited), 2 * _SPARE)
        os.environ.clear()
        os.environ.update(environment)
        exec(statement, {"__name__": "__main__"})
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    for number in _DEFAULT:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
    for name in IMPORTED:
        __import__(name)
    gc.collect()
    gc.freeze()
    _serve(orders)


if __name__ == "__main__":
    _main()
