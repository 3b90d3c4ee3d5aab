"""A process is told from all others that have its pid, and its line of descent is known."""

import os
import subprocess
import sys

from greenroom.runtime.process import identity
from tests.support import processes


def test_a_process_keeps_its_record_for_life() -> None:
    ours = identity.created(os.getpid())
    assert ours
    assert identity.created(os.getpid()) == ours
    assert identity.created(1) != ours


def test_the_dead_have_none_be_they_reaped_or_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    assert processes.ends(child.pid, 10)
    assert identity.created(child.pid) is None
    child.wait()
    assert identity.created(child.pid) is None


def test_a_line_of_descent_ends_where_there_are_no_parents() -> None:
    line = list(identity.ancestors(os.getpid()))
    assert line[:2] == [os.getpid(), os.getppid()]
    assert line[-1] == 0


def test_a_line_with_a_dead_member_is_broken() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert list(identity.ancestors(child.pid)) == [child.pid]


def test_a_name_with_brackets_and_spaces_misleads_nobody() -> None:
    """The name stands in the middle of the kernel's line, and a process chooses it itself."""
    code = "open('/proc/self/comm', 'w').write(') Z 1 (x'); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert identity.created(child.pid) is not None
        assert list(identity.ancestors(child.pid))[1] == os.getpid()
        child.communicate(b"\n")
