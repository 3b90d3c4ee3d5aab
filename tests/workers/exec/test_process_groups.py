"""Groups are killed while they belong to the conversation, and never once their number may have been reused."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from greenroom.workers.exec.process_groups import GroupStatistics, ProcessGroups


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


def test_a_running_group_is_killed(leader: subprocess.Popen[bytes]) -> None:
    groups = ProcessGroups()
    groups.add(leader.pid)
    assert groups.statistics() == GroupStatistics(running=1, left_behind=0)
    groups.kill_all()
    assert leader.wait() == -signal.SIGKILL


def test_a_group_that_is_not_known_is_not_killed(leader: subprocess.Popen[bytes]) -> None:
    ProcessGroups().kill(leader.pid)
    assert leader.poll() is None


def test_a_group_whose_number_a_new_process_carries_is_not_killed(leader: subprocess.Popen[bytes]) -> None:
    groups = ProcessGroups()
    groups.add(leader.pid)
    groups.release(leader.pid)
    assert groups.statistics() == GroupStatistics(running=0, left_behind=1)
    groups.kill_all()
    assert leader.poll() is None
    assert groups.statistics() == GroupStatistics(running=0, left_behind=0)


def test_a_group_that_ended_with_its_leader_is_forgotten(leader: subprocess.Popen[bytes]) -> None:
    groups = ProcessGroups()
    groups.add(leader.pid)
    os.kill(leader.pid, signal.SIGKILL)
    leader.wait()
    groups.release(leader.pid)
    assert groups.statistics() == GroupStatistics(running=0, left_behind=0)


def test_a_number_that_comes_back_counts_as_the_new_group(leader: subprocess.Popen[bytes]) -> None:
    groups = ProcessGroups()
    groups.add(leader.pid)
    groups.release(leader.pid)
    groups.add(leader.pid)
    assert groups.statistics() == GroupStatistics(running=1, left_behind=0)
