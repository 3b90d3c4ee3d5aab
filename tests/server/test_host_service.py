"""A host under a service manager: it takes over the socket that was opened for it, and says when it is ready."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from greenroom.demo.script import Text, rule
from greenroom.runtime.sockets.host_socket import ACTIVATED
from tests.support.client import text
from tests.support.host import PROGRAM_OF_HOST, TIMEOUT, Host, SocketClient
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
ACTIVATE = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)
"""Does what systemd does between fork and exec."""


@dataclass(frozen=True)
class Unit:
    """What systemd has of a unit that is activated by its socket."""

    stage: Stage
    manager: socket.socket
    """Where states are reported."""
    listening: socket.socket
    path: str

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the host with the socket of the unit."""
        environment = self.stage.environment(LISTEN_FDS="1", NOTIFY_SOCKET=str(self.stage.runtime / "notify"))
        with self.stage.log.open("ab") as log:
            return subprocess.Popen(
                (sys.executable, "-I", "-c", ACTIVATE, str(self.listening.fileno()), *PROGRAM_OF_HOST),
                env=environment,
                pass_fds=(self.listening.fileno(),),
                stderr=log,
            )


@contextmanager
def activated(stage: Stage) -> Iterator[Unit]:
    """Open the socket of a unit, and check at the end that the host has left it."""
    parent = stage.runtime / "greenroom"
    parent.mkdir(mode=0o700)
    path = str(parent / ACTIVATED)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, socket.socket(socket.AF_UNIX) as listening:
        manager.bind(str(stage.runtime / "notify"))
        manager.settimeout(TIMEOUT)
        listening.bind(path)
        listening.listen()
        yield Unit(stage, manager, listening, path)
        assert os.path.exists(path), "it belongs to systemd, which listens on"
    os.unlink(path)
    (stage.runtime / "notify").unlink()


def test_a_host_takes_over_the_socket_of_its_unit_and_reports_its_states(stage: Stage) -> None:
    stage.play(HELLO)
    with activated(stage) as unit:
        manager, path = unit.manager, unit.path
        early = SocketClient(path)
        early.send_bytes(b'{"protocol":"mcp","version":1}\n')
        host = unit.start()
        try:
            assert manager.recv(4096).startswith(b"READY=1\n")
            assert early.read()["ok"]
            early.initialize()
            assert text(early.result(early.codex("hello"))) == "Good day."
            attached = stage.start("--attach")
            attached.client.initialize()
            assert attached.leave() == 0
            host.terminate()
            assert manager.recv(4096) == b"STOPPING=1"
            assert host.wait(TIMEOUT) == 0
        finally:
            host.kill()
            host.wait()
            early.leave()


def test_a_reloaded_service_has_a_new_main_process_at_the_same_socket(stage: Stage) -> None:
    stage.play(HELLO)
    with activated(stage) as unit:
        manager, path = unit.manager, unit.path
        old = unit.start()
        assert manager.recv(4096).startswith(b"READY=1\n")
        client = SocketClient(path)
        client.initialize()
        reloading = Host(stage, "--replace", "--background")
        assert reloading.wait() == 0
        told = dict(line.split(b"=", 1) for line in manager.recv(4096).split(b"\n"))
        new = psutil.Process(int(told[b"MAINPID"]))
        assert new.pid not in (old.pid, reloading.pid)
        assert manager.recv(4096).startswith(b"READY=1\n"), "from the new main process"
        assert text(client.result(client.codex("hello"))) == "Good day."
        assert old.wait(TIMEOUT) == 0
        new.terminate()
        assert manager.recv(4096) == b"STOPPING=1"
        psutil.wait_procs([new], TIMEOUT)
        client.leave()
