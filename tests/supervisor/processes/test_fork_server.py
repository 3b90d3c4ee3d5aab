"""What a fork server does besides forking: it says what it cannot do and what it holds, and rehearses."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import (
    Born,
    Exited,
    ForkServerMeasured,
    GiveBirth,
    KeyPair,
    MeasureForkServer,
    NurseryMessage,
    NurseryReady,
    WorkerBirth,
    datagram,
    read_datagram,
)
from greenroom.runtime.launch import DATAGRAM, NURSERY, Launched, Lifeline, launch

CANNOT_FORK_ONCE = """
import errno, os
fork = os.fork
def refuse():
    os.fork = fork
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
os.fork = refuse
"""

TELLS_OF_A_RUSH = """
import os
os.sched_getaffinity = lambda _: {0}
from greenroom.runtime import startup_load as rush
rush.WINDOW = rush.LASTING = 60.0
fork = os.fork
def look_and_fork():
    os.write(2, b"rush" if rush.is_on() else b"calm")
    return fork()
os.fork = look_and_fork
"""
"""On one core."""


def birth(name: str, directory: str = "/nonexistent") -> WorkerBirth:
    """Return the birth of a worker that dies at once: there is no such address."""
    return WorkerBirth(
        id=WorkerId(name),
        keys=KeyPair(public="p", secret="s"),
        supervisor_pid=os.getpid(),
        codex_home="/nonexistent",
        runtime_directory=directory,
        log_level="warning",
        mailbox_address="nowhere",
        mailbox_key="k",
        broker_address="nowhere",
        broker_key="k",
    )


class Nursery:
    """A real one, and our end of its channel."""

    def __init__(self, launched: Launched) -> None:
        self.launched = launched
        launched.control.settimeout(20)

    def tell(self, message: GiveBirth | MeasureForkServer) -> None:
        self.launched.control.send(datagram(message))

    def hear(self) -> NurseryMessage:
        return read_datagram(self.launched.control.recv(DATAGRAM))

    def await_ready(self) -> NurseryReady:
        """Wait until it has made ready what later children need, which it does after its first birth."""
        while not isinstance(told := self.hear(), NurseryReady):
            pass
        return told


@contextlib.contextmanager
def started(statement: str) -> Iterator[Nursery]:
    """Start a nursery with something before its own statement."""
    lifeline = Lifeline.create()
    launched = launch(statement + NURSERY, os.environ, lifeline)
    try:
        yield Nursery(launched)
    finally:
        launched.control.close()
        assert os.waitpid(launched.pid, 0)[1] == 0, "it leaves when nobody is at the other end"
        for end in lifeline:
            os.close(end)


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with started(CANNOT_FORK_ONCE) as nursery:
        yield nursery


def test_a_nursery_that_cannot_fork_says_why_and_forks_when_it_can(nursery: Nursery) -> None:
    nursery.tell(GiveBirth(birth=birth("first")))
    assert nursery.hear() == Exited(
        id=WorkerId("first"), pid=0, returncode=1, max_rss=0, stillborn="Resource temporarily unavailable"
    )
    nursery.await_ready()
    nursery.tell(GiveBirth(birth=birth("second")))
    born = nursery.hear()
    assert isinstance(born, Born)
    assert born.id == "second"
    ended = nursery.hear()
    assert isinstance(ended, Exited)
    assert (ended.id, ended.pid, ended.stillborn) == ("second", born.pid, None)


def test_a_nursery_says_what_it_holds(nursery: Nursery) -> None:
    nursery.tell(MeasureForkServer())
    told = nursery.hear()
    assert isinstance(told, ForkServerMeasured)
    assert told.footprint.uss
    assert told.footprint.descriptors


def test_a_nursery_rehearses_after_its_first_birth_and_stays_alone(nursery: Nursery, tmp_path: Path) -> None:
    nursery.tell(GiveBirth(birth=birth("first", str(tmp_path))))
    pid = nursery.await_ready().pid
    assert list(tmp_path.iterdir()) == []
    assert os.listdir(f"/proc/{pid}/task") == [str(pid)], "a thread would not survive a fork"


def test_a_nursery_notes_when_more_is_born_than_there_are_cores(capfd: pytest.CaptureFixture[str]) -> None:
    with started(TELLS_OF_A_RUSH) as nursery:
        for name in ("first", "second", "third"):
            nursery.tell(GiveBirth(birth=birth(name)))
        while not isinstance(told := nursery.hear(), Exited) or told.id != "third":
            pass
    assert re.findall("calm|rush", capfd.readouterr().err)[:3] == ["calm", "rush", "rush"]
