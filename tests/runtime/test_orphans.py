"""What a dead child has left is ended, but for what its session finishes for it."""

import os
import signal
import subprocess
import sys

from greenroom.runtime.orphans import OrphanTracker, children, kill_orphans

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
    heirs = OrphanTracker()
    staying, leaving = family("process_group=0"), family("start_new_session=True")
    pids = [child_of(leader.pid) for leader in (staying, leaving)]
    try:
        for leader in (staying, leaving):
            heirs.expect(leader.pid)
            assert leader.pid not in heirs
        assert [pid in heirs for pid in pids] == [True, False]
    finally:
        for leader in (staying, leaving):
            leader.kill()
            leader.wait()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def test_who_has_died_is_forgotten() -> None:
    """Its number may be given to another."""
    heirs = OrphanTracker()
    leader = family("process_group=0")
    heirs.expect(leader.pid)
    heir = child_of(leader.pid)
    heirs.prune()
    assert heir in heirs
    leader.kill()
    leader.wait()
    heirs.prune()  # the heir was adopted by another process
    assert heir not in heirs
    os.kill(heir, signal.SIGKILL)


def test_strangers_are_killed_and_heirs_are_not() -> None:
    program = subprocess.Popen(["sleep", "600"])
    spared = {pid for pid in children() if pid != program.pid}
    assert kill_orphans(spared, {program.pid}) == []
    assert kill_orphans(spared) == [program.pid]
    assert program.wait() == -signal.SIGKILL
