"""What a dead child has left is ended, but for what its session finishes for it."""

import os
import signal
import subprocess
import sys

import pytest

from greenroom.runtime.process.orphans import OrphanTracker, children, kill_orphans

FAMILY = "import subprocess, time; subprocess.Popen(['sleep', '600'], {how}); print(flush=True); time.sleep(600)"


def family(how: str) -> subprocess.Popen[bytes]:
    """Start the leader of a session, with one child."""
    program = [sys.executable, "-I", "-c", FAMILY.format(how=how)]
    process = subprocess.Popen(program, start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def child_of(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return int(file.read())


def test_only_what_stays_in_the_session_is_an_heir() -> None:
    expected = OrphanTracker()
    staying, leaving = family("process_group=0"), family("start_new_session=True")
    pids = [child_of(leader.pid) for leader in (staying, leaving)]
    try:
        for leader in (staying, leaving):
            expected.expect(leader.pid)
            assert leader.pid not in expected
        assert [pid in expected for pid in pids] == [True, False]
    finally:
        for leader in (staying, leaving):
            leader.kill()
            leader.wait()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def test_who_has_died_is_forgotten() -> None:
    """Its number may be given to another."""
    expected = OrphanTracker()
    leader = family("process_group=0")
    expected.expect(leader.pid)
    heir = child_of(leader.pid)
    expected.prune()
    assert heir in expected
    leader.kill()
    leader.wait()
    expected.prune()  # the heir has come to somebody else
    assert heir not in expected
    os.kill(heir, signal.SIGKILL)


def test_strangers_are_killed_and_heirs_are_not() -> None:
    program = subprocess.Popen(["sleep", "600"])
    spared = {pid for pid in children() if pid != program.pid}
    assert kill_orphans(spared, {program.pid}) == []
    assert kill_orphans(spared) == [program.pid]
    assert program.wait() == -signal.SIGKILL


def test_children_are_found_without_a_look_at_the_processes_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    program = subprocess.Popen(["sleep", "600"])
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    listed: list[str] = []
    listdir = os.listdir

    def noted(path: str) -> list[str]:
        listed.append(path)
        return listdir(path)

    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "listdir", noted)
            assert {program.pid, ended.pid} <= set(children()), "the dead one too, until it is reaped"
            assert "/proc" not in listed
            patched.setattr(signal, "getsignal", lambda _: signal.SIG_IGN)
            assert {program.pid, ended.pid} <= set(children())
            assert "/proc" in listed, "the short list may have gaps where the kernel reaps"
    finally:
        program.kill()
        program.wait()
        ended.wait()
