"""A host with nodes as processes of this machine, each with a state directory of its own."""

import json
import os
import random
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from greenroom.config.tables.nodes import PORTS
from greenroom.protocol.internal.node import PROTOCOL
from greenroom.supervisor.cli.status.control_client import ask
from greenroom.supervisor.control import instances
from greenroom.supervisor.control.control_messages import GiveReport, Reported
from tests.support import processes
from tests.support.deadline import until
from tests.support.server import MODULE, launch, patched, run
from tests.support.stage import Stage
from tests.support.template import Started

TIMEOUT: Final = 30.0


def settings(port: int, *, address: str = "127.0.0.1", more: str = "", **values: object) -> str:
    """Return the table of a host that listens for nodes; `more` follows it."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in {"idle_workers": 1, **values}.items()]
    return "\n".join(("\n[greenroom.nodes]", f'listen = "tcp://{address}:{port}"', *lines, more, ""))


def free_ports(count: int = PORTS) -> int:
    """Return the first of consecutive ports that nothing listens at, below those that the kernel gives away."""
    while True:
        first = random.randrange(10_000, 30_000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


def command(stage: Stage, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the program to its end."""
    return run((*MODULE, *words), stage.environment(), stage.template)


def ticket(stage: Stage, name: str, *more: str) -> Path:
    """Make a ticket on the host."""
    path = stage.home.path.parent / f"{name}.ticket"
    done = command(stage, "node", "ticket", name, "--output", str(path), *more)
    assert done.returncode == 0, done.stderr
    return path


def report(stage: Stage) -> dict[str, Any]:
    """Return what the host reports of itself, as soon as it does."""

    return until(lambda: reports(stage), TIMEOUT)[0]


def reports(stage: Stage) -> list[dict[str, Any]]:
    """Return what each host that answers reports of itself, the oldest first."""
    controls = [one.control for one in instances.running((str(stage.runtime / "greenroom"),))]
    replies = [heard.reply for heard in ask(controls, GiveReport()).values()]
    return [json.loads(bytes(one.report)) for one in replies if isinstance(one, Reported)]


def of_release(version: str, protocol: int = PROTOCOL) -> Sequence[str]:
    """Return a program that takes itself for another release, with this version of the protocol of nodes."""
    statement = (
        "import greenroom.protocol.version as release, greenroom.protocol.internal.node as node; "
        f"release.__version__ = {version!r}; node.PROTOCOL = {protocol}"
    )
    return patched(statement)


class NodeProcess:
    """One run of `greenroom node`."""

    def __init__(
        self,
        stage: Stage,
        name: str,
        port: int,
        with_ticket: Path | None = None,
        *,
        address: str = "127.0.0.1",
        prefix: Sequence[str] = (),
        capacity: int = 4,
        more: Sequence[str] = (),
        place: Path | None = None,
        program: Sequence[str] = MODULE,
    ) -> None:
        """`place`: a directory, with `run` in it, for all that the node writes; without one, beside the home.

        `program`: what is run (`of_release`).
        """
        self.name = name
        self.state = stage.home.path.parent / f"state-{name}" if place is None else place / "state"
        elsewhere = {} if place is None else {"XDG_RUNTIME_DIR": str(place / "run"), "TMPDIR": str(place)}
        self.log = stage.home.path.parent / f"{name}.log"
        words = ["node", "--join", f"tcp://{address}:{port}", "--state", str(self.state), "--capacity", str(capacity)]
        words += [] if with_ticket is None else ["--ticket", str(with_ticket)]
        words += more
        with self.log.open("ab") as told, open(os.devnull, "rb") as nothing:
            streams = (nothing.fileno(), told.fileno(), told.fileno())
            variables = stage.environment(**elsewhere)
            self.process: subprocess.Popen[bytes] | Started
            if prefix:  # `ip netns exec` needs the rights that others give up
                stdin, stdout, stderr = streams
                self.process = subprocess.Popen(
                    (*prefix, *program, *words), env=variables, stdin=stdin, stdout=stdout, stderr=stderr
                )
            else:
                self.process = launch((*program, *words), variables, streams, stage.template)

    def workers(self) -> list[psutil.Process]:
        return processes.named(processes.tree(self.process.pid), "gr-worker")

    def await_workers(self, count: int = 1, within: float = TIMEOUT) -> list[psutil.Process]:
        """Wait until it has this many workers or more, so it has joined."""

        def look() -> list[psutil.Process] | None:
            assert self.process.poll() is None, self.told()
            found = self.workers()
            return found if len(found) >= count else None

        return until(look, within)

    def told(self) -> str:
        """Return its standard error."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Ask it to end, and return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(TIMEOUT)
