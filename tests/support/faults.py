"""A server whose workers die, stop or use memory at a given place in the code, for instance within a write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from tests.support.server import patched

Place: TypeAlias = Literal[
    "hung before it is ready",
    "before it is ready",
    "in a patch",
    "in a write",
    "after the last write",
    "gone at the end of a turn",
    "swollen at the end of a turn",
    "swollen after a turn",
]

WORKERS = """
import asyncio, os, signal
from greenroom.workers import entry
from greenroom.workers.patch.transaction import Transaction
from greenroom.sessions.storage.file import SessionFile

lives = False

def ordered(place):
    if not lives:  # the fork server runs a conversation to warm up
        return False
    try:
        os.unlink(os.path.join({orders!r}, place))
    except FileNotFoundError:
        return False
    return True

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def swell(held=[]):
    held.append(b"x" * 200_000_000)

def main(birth, lifeline, live=entry.main):
    global lives
    lives = True
    if ordered("before it is ready"):
        die()
    if ordered("hung before it is ready"):
        os.kill(os.getpid(), signal.SIGSTOP)
    live(birth, lifeline)

def put(self, staged, put=Transaction.put):
    put(self, staged)
    if ordered("in a patch"):
        die()

def write(self, write=SessionFile._write):
    if self._unwritten and ordered("in a write"):
        os.write(self._descriptor, self._unwritten[: len(self._unwritten) // 2])
        die()
    write(self)

def commit(self, commit=SessionFile.commit):
    commit(self)
    with open(self.path, "rb") as file:
        last = file.read().splitlines()[-1]
    if b'"task_complete"' not in last:
        return
    if ordered("after the last write"):
        die()
    if ordered("gone at the end of a turn"):
        os._exit(7)
    if ordered("swollen at the end of a turn"):
        swell()
    if ordered("swollen after a turn"):
        asyncio.get_running_loop().call_later(0.3, swell)

entry.main, Transaction.put, SessionFile._write, SessionFile.commit = main, put, write, commit
"""
SERVER = """
{patch}
from greenroom.runtime.process import launch
launch.FORK_SERVER, launch.SPAWNED = {faults!r} + launch.FORK_SERVER, {faults!r} + launch.SPAWNED
"""


class Faults:
    """Orders for workers to die, to stop or to use 200 MB. The first worker that reaches the place carries one out."""

    def __init__(self, directory: Path, patch: str = "") -> None:
        """`patch` is a statement that the server executes first."""
        self._orders = directory
        self._patch = patch
        directory.mkdir()

    @property
    def program(self) -> Sequence[str]:
        """The command line of such a server, for `Stage.start`."""
        statement = SERVER.format(patch=self._patch, faults=WORKERS.format(orders=str(self._orders)))
        return patched(statement, "mcp-server")

    def order(self, place: Place) -> None:
        """Order the fault for the next worker that reaches this place."""
        (self._orders / place).touch()

    def carried_out(self) -> bool:
        """Tell whether all orders were carried out."""
        return not any(self._orders.iterdir())
