"""Processes are seen from outside as the kernel shows them, and what it does not show is left out."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from greenroom.supervisor.cli.status.process_sampler import ProcessSampler
from tests.supervisor.cli.status.stand_in import Part
from tests.supervisor.cli.status.stand_ins import House


def test_a_tree_is_seen_from_its_root_down(house: House) -> None:
    stand_in = house.engage(Part(workers=2, commands=3))
    seen = ProcessSampler().look([stand_in.pid])[stand_in.pid]
    assert seen[0].pid == stand_in.pid
    assert [one.name for one in seen[1:]] == [
        "gr-forkserver",
        "gr-broker",
        *["gr-worker", "sleep", "sleep", "sleep"] * 2,
    ]
    parents = {one.pid for one in seen}
    assert all(one.parent in parents for one in seen[1:])
    for one in seen:
        assert one.rss > 0
        assert one.threads >= 1
        assert one.cpu_percent is None


def test_several_roots_are_seen_in_one_look_and_dead_ones_have_nothing(house: House) -> None:
    first, second = house.engage(), house.engage()
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    seen = ProcessSampler().look([first.pid, second.pid, child.pid])
    assert [one[0].pid for one in (seen[first.pid], seen[second.pid])] == [first.pid, second.pid]
    assert seen[child.pid] == []


def test_how_busy_a_process_is_shows_at_the_second_look() -> None:
    observer = ProcessSampler()
    observer.look([os.getpid()])
    begun, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.3:  # of this process, however busy the machine is with others
        pass
    expected = 100 * (time.process_time() - used) / (time.monotonic() - begun)
    (seen, *_) = observer.look([os.getpid()])[os.getpid()]
    assert seen.cpu_percent == pytest.approx(expected, rel=0.4)


def test_what_has_ended_since_the_last_look_counts_for_the_process_above_it() -> None:
    observer = ProcessSampler()
    observer.look([os.getpid()])
    begun = time.monotonic()
    use = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-I", "-c", use], check=True)
    (seen, *_) = observer.look([os.getpid()])[os.getpid()]
    least = 100 * 0.5 / (time.monotonic() - begun)
    assert seen.below_cpu_percent is not None
    assert seen.below_cpu_percent >= 0.9 * least


def test_a_process_that_has_begun_since_the_last_look_counts_from_its_beginning() -> None:
    observer = ProcessSampler()
    observer.look([os.getpid()])
    begun = time.monotonic()
    use = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-I", "-c", use], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        seen = {one.pid: one for one in observer.look([os.getpid()])[os.getpid()]}
        least = 100 * 0.5 / (time.monotonic() - begun)
        assert (seen[child.pid].cpu_percent or 0.0) >= 0.9 * least
        assert (seen[os.getpid()].below_cpu_percent or 0.0) >= 0.9 * least
        child.communicate(b"\n")


def test_command_lines_are_read_where_they_are_wanted(house: House) -> None:
    stand_in = house.engage(Part(workers=1, commands=1))
    for tells in (True, False):
        seen = ProcessSampler(tells_commands=tells).look([stand_in.pid])[stand_in.pid]
        commands = {one.name: one.command for one in seen[1:]}
        assert commands["gr-worker"] == ()
        assert bool(commands["sleep"]) is tells


def test_a_stopped_process_is_seen_as_such(house: House) -> None:
    stand_in = house.engage()
    stand_in.stop(stand_in.pids["worker0"])
    states = {one.pid: one.state for one in ProcessSampler().look([stand_in.pid])[stand_in.pid]}
    assert states[stand_in.pids["worker0"]] == psutil.STATUS_STOPPED


def test_what_may_not_be_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    for name in ("memory_full_info", "num_fds"):
        monkeypatch.setattr(psutil.Process, name, refuse)
    seen = ProcessSampler().look([os.getpid()])[os.getpid()][0]
    assert (seen.uss, seen.pss, seen.descriptors) == (None, None, None)
    assert seen.rss > 0
