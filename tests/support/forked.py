"""Runs a program of Python in a fork of the process of the tests, which has imported what the program needs."""

import gc
import logging
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import NoReturn

from tests.support import processes

Main = Callable[[], int | None]


class Forked:
    """One running program; its standard error is the one of the tests, unless another is given.

    It has nothing of the tests but their modules: no descriptors, variables, signal handlers or log handlers.
    """

    def __init__(
        self, main: Main, environment: Mapping[str, str], stderr: int = 2, terminal: int | None = None
    ) -> None:
        """`terminal`: all three of its streams, in place of the pipes."""
        stdin, self._writer = os.pipe()
        self._reader, stdout = os.pipe()
        self.returncode: int | None = None
        """The exit status, or a signal's number below zero, once it has been waited for."""
        self.pid = os.fork()
        if self.pid == 0:
            _become(main, environment, (stdin, stdout, stderr) if terminal is None else (terminal,) * 3)
        os.close(stdin)
        os.close(stdout)
        self.stdout = os.fdopen(self._reader, encoding="utf-8")

    def hang_up(self) -> None:
        """Close its standard input."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, within: float = 20.0) -> int:
        """Return its exit status, as `subprocess.Popen` does."""
        if self.returncode is None:
            assert processes.ends(self.pid, within), f"{self.pid} has not ended within {within} s"
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def close(self) -> None:
        """End it, if it has not ended, and close its streams."""
        self.hang_up()
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self.stdout.close()


def run(main: Main, environment: Mapping[str, str], within: float = 30.0) -> "subprocess.CompletedProcess[str]":
    """Run a program without input to its end."""
    reader, writer = os.pipe()
    program = Forked(main, environment, stderr=writer)
    os.close(writer)
    try:
        program.hang_up()
        texts = read_all({"stdout": program.stdout.fileno(), "stderr": reader}, within)
        return subprocess.CompletedProcess((), program.wait(within), **texts)
    finally:
        os.close(reader)
        program.close()


def read_all(streams: dict[str, int], within: float) -> dict[str, str]:
    """Read streams to their ends, side by side."""
    told = dict.fromkeys(streams, b"")
    names = {descriptor: name for name, descriptor in streams.items()}
    while names:
        ready = select.select(list(names), (), (), within)[0]
        assert ready, f"the program has said nothing for {within} s"
        for descriptor in ready:
            data = os.read(descriptor, 65536)
            told[names[descriptor]] += data
            if not data:
                del names[descriptor]
    return {name: data.decode() for name, data in told.items()}


def _become(main: Main, environment: Mapping[str, str], streams: tuple[int, int, int]) -> NoReturn:
    status = 1
    try:
        gc.freeze()  # what the tests have left is not to be finalized here
        _take_streams(streams)
        os.environ.clear()
        os.environ.update(environment)
        logging.root.handlers.clear()
        logging.root.setLevel(logging.WARNING)
        for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = _status_of(main)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _take_streams(streams: tuple[int, int, int]) -> None:
    kept = [os.dup(stream) for stream in streams]  # none of them is overwritten by another
    for number, stream in enumerate(kept):
        os.dup2(stream, number)
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"))) + 1)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)


def _status_of(main: Main) -> int:
    """Return the exit status that the interpreter would have."""
    try:
        return main() or 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
