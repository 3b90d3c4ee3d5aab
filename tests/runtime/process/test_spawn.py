"""A spawned program inherits the right descriptors, under their numbers."""

import os

import pytest

from greenroom.runtime.process.child import reap
from greenroom.runtime.process.spawn import spawn

TELL = "import os, sys; [os.write(number, str(number).encode()) for number in (%d, %d)]"


@pytest.mark.parametrize("clash", ["none", "crossed", "same"])
def test_descriptors_arrive_whatever_clashes(clash: str) -> None:
    first, second = os.pipe(), os.pipe()
    ours = (first[1], second[1])
    theirs = {"none": (max(ours) + 1, max(ours) + 2), "crossed": ours[::-1], "same": ours}[clash]
    pid = spawn(TELL % theirs, {}, dict(zip(theirs, ours, strict=True)))
    for descriptor in ours:
        os.close(descriptor)
    assert reap(pid).returncode == 0
    for reader, number in zip((first[0], second[0]), theirs, strict=True):
        assert os.read(reader, 100) == str(number).encode()
        os.close(reader)


def test_a_child_leads_a_session_or_only_a_group() -> None:
    reader, writer = os.pipe()
    statement = "import os; os.write(3, repr((os.getpid(), os.getsid(0), os.getpgid(0))).encode())"
    for same_session in (False, True):
        pid = spawn(statement, {}, {3: writer}, same_session=same_session)
        reap(pid)
        assert os.read(reader, 100).decode() == repr((pid, os.getsid(0) if same_session else pid, pid))
    os.close(reader)
    os.close(writer)
