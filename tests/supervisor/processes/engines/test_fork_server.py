"""What a fork server does besides forking: it says what it cannot do and what it holds, and warms up."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import (
    EndChildren,
    Exited,
    ForkServerMeasured,
    ForkServerMessage,
    ForkServerReady,
    ForkServerServes,
    KeyPair,
    MeasureForkServer,
    Prepare,
    Spawn,
    Spawned,
    WorkerSpec,
    datagram,
    read_datagram,
)
from greenroom.runtime.log.logfile import log_path
from greenroom.runtime.process.launch import DATAGRAM, FORK_SERVER, Launched, Lifeline, launch
from tests.support.deadline import until

CANNOT_FORK_ONCE = """
import errno, os
fork = os.fork
def refuse():
    os.fork = fork
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
os.fork = refuse
"""
LEAVES_SLOWLY = """
import os, select, time
from greenroom.supervisor.processes.engines import fork_server
from greenroom.workers import entry
fork_server.LEAVE_TIMEOUT = 60.0
def leave(spec, lifeline):
    os.close(os.open(spec.runtime_directory + "/born", os.O_CREAT))
    os.read(lifeline, 1)
    time.sleep(0.2)
    os.close(os.open(spec.runtime_directory + "/left", os.O_CREAT))
entry.main = leave
"""


LOGS = """
import logging, os
from greenroom.runtime.log import log, logfile
from greenroom.workers import entry
def say(spec, lifeline):
    log.set_up(f"worker {spec.id}", spec.log_level)
    logfile.open_log(spec.codex_home, "worker", instance=spec.supervisor_pid, worker_id=spec.id)
    logging.getLogger("x").info("born")
entry.main = say
"""


WARMS_UP_FOR_EVER = """
from greenroom.workers import warmup
warmup.TIMES = 10**9
"""


TELLS_OF_HUGE_PAGES = """
import os
from greenroom.runtime.process import huge_pages
def collapse():
    os.close(os.open({path!r}, os.O_CREAT))
    yield
huge_pages.collapse = collapse
"""


NOWHERE = "/dev/null/none"
"""A directory that cannot be made, whoever tries."""


def spec(name: str, directory: str = NOWHERE, home: str = NOWHERE) -> WorkerSpec:
    """Return the birth of a worker that dies at once: there is no such address."""
    return WorkerSpec(
        id=WorkerId(name),
        keys=KeyPair(public="p", secret="s"),
        supervisor_pid=os.getpid(),
        codex_home=home,
        runtime_directory=directory,
        log_level="warning",
        mailbox_address="nowhere",
        mailbox_key="k",
        events_path="p",
        events_ticket=b"t",
        broker_address="nowhere",
        broker_key="k",
    )


class ForkServer:
    """A real one, and our end of its channel."""

    def __init__(self, launched: Launched) -> None:
        self.launched = launched
        launched.control.settimeout(20)

    def tell(self, message: Spawn | MeasureForkServer | Prepare | EndChildren) -> None:
        self.launched.control.send(datagram(message))

    def hear(self) -> ForkServerMessage:
        return read_datagram(self.launched.control.recv(DATAGRAM))

    def await_ready(self) -> ForkServerReady:
        """Wait until it has made ready what later children need, which it does after its first birth."""
        while not isinstance(told := self.hear(), ForkServerReady):
            pass
        return told


@contextlib.contextmanager
def started(statement: str) -> Iterator[ForkServer]:
    """Start a fork server with something before its own statement."""
    lifeline = Lifeline.create()
    launched = launch(statement + FORK_SERVER, os.environ, lifeline)
    try:
        fork_server = ForkServer(launched)
        assert fork_server.hear() == ForkServerServes(pid=launched.pid)
        yield fork_server
    finally:
        launched.control.close()
        assert os.waitpid(launched.pid, 0)[1] == 0, "it leaves when nobody is at the other end"
        for end in (lifeline.reader, lifeline.writer):
            os.close(end)


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    with started(CANNOT_FORK_ONCE) as fork_server:
        yield fork_server


def test_a_fork_server_that_cannot_fork_says_why_and_forks_when_it_can(fork_server: ForkServer) -> None:
    fork_server.tell(Spawn(spec=spec("first")))
    assert fork_server.hear() == Exited(
        id=WorkerId("first"), pid=0, returncode=1, max_rss=0, start_error="Resource temporarily unavailable"
    )
    fork_server.await_ready()
    fork_server.tell(Spawn(spec=spec("second")))
    born = fork_server.hear()
    assert isinstance(born, Spawned)
    assert born.id == "second"
    ended = fork_server.hear()
    assert isinstance(ended, Exited)
    assert (ended.id, ended.pid, ended.start_error) == ("second", born.pid, None)


def test_a_fork_server_says_what_it_holds(fork_server: ForkServer) -> None:
    fork_server.tell(MeasureForkServer())
    told = fork_server.hear()
    assert isinstance(told, ForkServerMeasured)
    assert told.footprint.uss
    assert told.footprint.descriptors


def test_a_fork_server_that_is_told_to_prepare_has_no_early_children(fork_server: ForkServer, tmp_path: Path) -> None:
    fork_server.tell(Prepare(runtime_directory=str(tmp_path)))
    zygote = fork_server.hear()
    assert isinstance(zygote, Spawned)
    assert isinstance(fork_server.hear(), ForkServerReady), "before any child was asked for"
    assert list(tmp_path.iterdir()) == []
    fork_server.tell(Prepare(runtime_directory=str(tmp_path)))
    fork_server.tell(MeasureForkServer())
    assert isinstance(fork_server.hear(), ForkServerMeasured), "and once only"


def test_a_fork_server_warms_up_after_its_first_child_and_stays_alone(fork_server: ForkServer, tmp_path: Path) -> None:
    fork_server.tell(Spawn(spec=spec("first", str(tmp_path))))
    pid = fork_server.await_ready().pid
    assert list(tmp_path.iterdir()) == []
    assert os.listdir(f"/proc/{pid}/task") == [str(pid)], "a thread would not survive a fork"


def test_memory_is_put_into_huge_pages_before_a_fork_server_says_that_it_is_ready(tmp_path: Path) -> None:
    with started(TELLS_OF_HUGE_PAGES.format(path=str(tmp_path / "done"))) as fork_server:
        fork_server.tell(Prepare(runtime_directory=str(tmp_path)))
        fork_server.await_ready()
        assert (tmp_path / "done").exists()


def test_children_are_forked_and_questions_answered_during_the_warm_up(tmp_path: Path) -> None:
    with started(WARMS_UP_FOR_EVER) as fork_server:
        fork_server.tell(Spawn(spec=spec("first", str(tmp_path))))
        until((tmp_path / "warmup").exists)
        fork_server.tell(Spawn(spec=spec("second", str(tmp_path))))
        fork_server.tell(MeasureForkServer())
        while not isinstance(told := fork_server.hear(), ForkServerMeasured):
            assert isinstance(told, Spawned | Exited)
            assert told.id in {"first", "second"}
    assert list(tmp_path.iterdir()) == [], "it cleans up although it has to leave"


def test_a_fork_server_and_its_children_write_to_the_log_of_the_home_each_under_its_own_name(tmp_path: Path) -> None:
    """The fork server has a reason to: it cannot warm up without a directory."""
    names = [f"w-{number}" for number in range(4)]
    with started(LOGS) as fork_server:

        def fork(*children: str) -> None:
            for name in children:
                fork_server.tell(Spawn(spec=spec(name, home=str(tmp_path))))

        fork(*names[:2])
        ended: set[WorkerId] = set()
        while not ended.issuperset(names):
            told = fork_server.hear()
            if isinstance(told, ForkServerReady):
                fork(*names[2:])
            elif isinstance(told, Exited):
                ended.add(told.id)
        found = [json.loads(line) for line in Path(log_path(str(tmp_path))).read_bytes().splitlines()]
    (own,) = [line for line in found if line["process"] == "fork_server"]
    assert own["message"].startswith("no warm-up")
    assert "worker_id" not in own
    assert sorted((line["process"], line["worker_id"]) for line in found if line is not own) == [
        ("worker", name) for name in names
    ]
    assert {line["instance"] for line in found} == {os.getpid()}


@pytest.mark.parametrize("dies", [True, False])
def test_children_leave_by_themselves_where_the_supervisor_has_died_and_are_killed_where_it_says_so(
    tmp_path: Path, dies: bool
) -> None:
    """What a child does as it leaves takes less time than its death by a signal: it ends its connections first."""
    lifeline = Lifeline.create()
    launched = launch(LEAVES_SLOWLY + FORK_SERVER, os.environ, lifeline)
    fork_server = ForkServer(launched)
    assert isinstance(fork_server.hear(), ForkServerServes)
    fork_server.tell(Spawn(spec=spec("first", str(tmp_path))))
    until((tmp_path / "born").exists)
    if dies:
        launched.control.close()
        os.close(lifeline.writer)
    else:
        fork_server.tell(EndChildren())
    assert os.waitpid(launched.pid, 0)[1] == 0
    assert (tmp_path / "left").exists() == dies
    if not dies:
        launched.control.close()
        os.close(lifeline.writer)
    os.close(lifeline.reader)
