"""Stand-ins as a test sees them, and the command that looks at them."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from greenroom.supervisor.cli.status.commands import add_commands
from tests.supervisor.cli.status import stand_in
from tests.supervisor.cli.status.stand_in import Part
from tests.support import forked, processes
from tests.support.server import give_up_tracing

COMMAND = """
import argparse, sys
from greenroom.supervisor.cli.status.commands import add_commands
parser = argparse.ArgumentParser(prog="greenroom")
add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
arguments = parser.parse_args()
sys.exit(arguments.run(arguments))
"""
"""What `greenroom` does with these commands, as a program of its own."""


def command(arguments: Sequence[str]) -> int:
    """Do what `greenroom` does with these commands."""
    parser = argparse.ArgumentParser(prog="greenroom")
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    given = parser.parse_args(arguments)
    status: int = given.run(given)
    return status


class StandIn:
    """One running stand-in."""

    def __init__(self, part: Part, environment: Mapping[str, str]) -> None:
        self.process = forked.Forked(lambda: stand_in.main(part), environment)
        told = self.hear()
        self.pid = self.process.pid
        self.directory = str(told["directory"])
        pids = told["pids"]
        assert isinstance(pids, dict)
        self.pids: dict[str, int] = pids
        """By label, as `fork_server`, `broker` and `worker0`."""
        self._all = processes.tree(self.pid)

    @property
    def control(self) -> str:
        return os.path.join(self.directory, "control")

    def hear(self) -> dict[str, object]:
        """Return the next thing that it says."""
        line = self.process.stdout.readline()
        assert line, "the stand-in has ended"
        return msgspec.json.decode(line, type=dict[str, object])

    def stop(self, pid: int | None = None) -> None:
        """Stop it, or another process, and wait until it is."""
        os.kill(pid or self.pid, signal.SIGSTOP)
        stopped = psutil.Process(pid or self.pid)
        while stopped.status() != psutil.STATUS_STOPPED:
            os.sched_yield()

    def close(self) -> None:
        """End it, and check that it left no process."""
        for process in self._all:
            if process.is_running():
                process.send_signal(signal.SIGCONT)
        self.process.hang_up()
        self.process.wait()
        self.process.close()
        left = processes.remaining(self._all, within=5)
        for process in left:
            process.kill()
        assert not left


class House:
    """A runtime directory and a home of its own, and the stand-ins in it. `close` it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runtime = Path(tempfile.mkdtemp(prefix="gr-", dir="/tmp"))  # short: addresses of sockets are
        self.stand_ins: list[StandIn] = []

    @property
    def environment(self) -> dict[str, str]:
        foreign = ("CODEX_", "GREENROOM_", "XDG_", "COLUMNS", "NO_COLOR")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {**kept, "XDG_RUNTIME_DIR": str(self.runtime), "CODEX_HOME": str(self.home)}

    def engage(self, part: Part | None = None) -> StandIn:
        """Start a stand-in."""
        stand_in = StandIn(part or Part(), self.environment)
        self.stand_ins.append(stand_in)
        return stand_in

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return forked.run(lambda: command(arguments), {**self.environment, **environment})

    def run_program(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as a program of its own, which has no right of root to inspect other processes."""
        return subprocess.run(
            (sys.executable, "-I", "-c", COMMAND, *arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            preexec_fn=give_up_tracing,
            check=False,
        )

    def close(self) -> None:
        try:
            for stand_in in self.stand_ins:
                stand_in.close()
        finally:
            shutil.rmtree(self.runtime, ignore_errors=True)
