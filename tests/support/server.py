"""A server as a process, with a client at its pipes."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.support import processes
from tests.support.client import Client
from tests.support.deadline import until
from tests.support.forked import read_all
from tests.support.template import Started, Template

MODULE = (sys.executable, "-I", "-m", "greenroom.supervisor.main")
PROGRAM = (*MODULE, "mcp-server")
_PATCHED = (sys.executable, "-I", "-c")
_MAIN = "\nimport sys; from greenroom.supervisor.main import main; sys.exit(main())"
SCRIPT = Path(sys.executable).with_name("greenroom")
"""The installed program."""
TIMEOUT = 20.0
RUN_TIMEOUT = 60.0
"""Seconds that a program may take that ends by itself."""

_PIPE = 65536
"""Bytes that a pipe takes before anybody reads."""
_PR_CAPBSET_DROP = 24
_LOOKING_INTO_OTHERS = (19, 21, 38)
"""CAP_SYS_PTRACE, CAP_SYS_ADMIN and CAP_PERFMON, each of which permits reading /proc/PID/environ (kernel/fork.c,
mm_access)."""


class Server:
    """One run of `greenroom mcp-server`."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, template: Template | None = None
    ) -> None:
        """With `template`: started as a fork of it (`launch`)."""
        self.log_path = log
        self.process: subprocess.Popen[bytes] | Started
        to_server, ours = os.pipe()
        theirs, from_server = os.pipe()
        with log.open("ab") as stderr:
            self.process = launch(command, environment, (to_server, from_server, stderr.fileno()), template)
        os.close(to_server)
        os.close(from_server)
        self.client = Client(ours, theirs)

    @property
    def pid(self) -> int:
        return self.process.pid

    def tree(self) -> list[psutil.Process]:
        """Return the server and all processes below it."""
        return processes.tree(self.pid)

    def workers(self) -> list[psutil.Process]:
        return processes.named(self.tree(), "gr-worker")

    def broker(self) -> psutil.Process:
        (found,) = processes.named(self.tree(), "gr-broker")
        return found

    def fork_server(self) -> psutil.Process:
        """Return the fork server; a new worker has its name until it sets its own."""
        (found,) = processes.named(psutil.Process(self.pid).children(), "gr-forkserver")
        return found

    def settle(self, workers: int, within: float = TIMEOUT) -> None:
        """Wait until there are exactly this many workers, and a broker: all requested processes have started."""
        until(lambda: len(self.workers()) == workers and processes.named(self.tree(), "gr-broker"), within)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, within: float = TIMEOUT) -> int:
        """Return the exit status."""
        return self.process.wait(within)

    def leave(self) -> int:
        """Close the server's input, read its remaining output, and return its exit status."""
        self.client.hang_up()
        self.client.read_to_end()
        return self.wait()

    def log(self) -> str:
        """Return the server's standard error."""
        return self.log_path.read_text(errors="replace")

    def kill(self) -> None:
        """Kill whatever is still running."""
        for process in self.tree():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()
        self.client.hang_up()
        self.client.stop_listening()


def patched(statement: str, *words: str) -> tuple[str, ...]:
    """Return the program with these words, and with a statement that it executes first, say to change a constant.

    Where that is forked (`launch`) it is imported already; what was derived from a constant then does not change.
    """
    return (*_PATCHED, statement + _MAIN, *words)


def launch(
    command: Sequence[str],
    environment: Mapping[str, str],
    streams: tuple[int, int, int],
    template: Template | None,
    cwd: str | None = None,
) -> "subprocess.Popen[bytes] | Started":
    """Start a program on descriptors for its three streams: as a fork of the template, where it is this program."""
    if template is not None and tuple(command[: len(MODULE)]) == MODULE:
        return template.start(command[len(MODULE) :], environment, streams, cwd)
    if template is not None and tuple(command[: len(_PATCHED)]) == _PATCHED and command[3].endswith(_MAIN):
        return template.start(command[4:], environment, streams, cwd, command[3].removesuffix(_MAIN))
    stdin, stdout, stderr = streams
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=dict(environment),
        cwd=cwd,
        preexec_fn=give_up_tracing,  # noqa: PLW1509 - nothing runs on other threads yet but the model
    )


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    template: Template | None,
    given: bytes = b"",
    cwd: str | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a program (`launch`) to its end, with this input."""
    assert len(given) <= _PIPE
    (stdin, writer), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
    os.write(writer, given)
    os.close(writer)
    process = launch(command, environment, (stdin, stdout, stderr), template, cwd)
    for stream in (stdin, stdout, stderr):
        os.close(stream)
    try:
        told = read_all({"stdout": out, "stderr": err}, RUN_TIMEOUT)
        return subprocess.CompletedProcess(command, process.wait(RUN_TIMEOUT), **told)
    finally:
        process.kill()
        process.wait()
        for stream in (out, err):
            os.close(stream)


def give_up_tracing() -> None:
    """Drop root's right to inspect other processes, in a process before its exec."""
    if os.geteuid() == 0:
        for capability in _LOOKING_INTO_OTHERS:
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
