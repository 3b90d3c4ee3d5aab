"""Running instances are found, dead ones are not, and what they left behind is removed and nothing else."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from greenroom.protocol.instance import Instance
from greenroom.supervisor.control import instances
from greenroom.supervisor.control.instances import INFANCY, remove_stale, running, this_instance, write
from tests.supervisor.cli.status.stand_ins import House

LONG_AGO = time.time() - 2 * INFANCY


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Where instances have their directories."""
    path = tmp_path / "greenroom"
    path.mkdir(mode=0o700)
    return path


def directory(parent: Path, name: str = "") -> Path:
    path = parent / (name or f"{os.getpid()}-abc_1")
    path.mkdir(mode=0o700)
    return path


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return child.pid


def dead_instance() -> Instance:
    return replace(this_instance("/home", "fork"), pid=dead_pid())


def test_a_running_instance_is_found_with_its_facts(parent: Path) -> None:
    ours = this_instance("/home/ada/.codex", "spawn")
    write(str(directory(parent)), ours)
    (found,) = running([str(parent)])
    assert found.instance == ours
    assert found.seen_at == pytest.approx(time.time(), abs=5)
    assert remove_stale([str(parent)]) == []


def test_facts_are_for_this_user_alone(parent: Path) -> None:
    where = directory(parent)
    write(str(where), this_instance("/home", "fork"))
    assert [path.name for path in where.iterdir()] == [instances.FACTS]
    assert (where / instances.FACTS).stat().st_mode & 0o777 == 0o600


def test_a_home_whose_name_is_no_text_is_written_all_the_same(parent: Path) -> None:
    write(str(directory(parent)), this_instance("/home/\udcff", "fork"))
    (found,) = running([str(parent)])
    assert found.instance.codex_home == "/home/?"


@pytest.mark.parametrize(
    "dead",
    [
        pytest.param(dead_instance, id="gone"),
        pytest.param(lambda: replace(this_instance("/home", "fork"), created="another boot/1"), id="pid reused"),
    ],
)
def test_a_dead_instance_is_not_found_and_its_directory_is_removed(parent: Path, dead: Callable[[], Instance]) -> None:
    where = directory(parent)
    write(str(where), dead())
    (where / "mailbox").touch()
    assert running([str(parent)]) == []
    assert remove_stale([str(parent)]) == [str(where)]
    assert list(parent.iterdir()) == []


def test_what_an_instance_leaves_at_its_sudden_death_is_removed(house: House) -> None:
    stand_in = house.engage()
    where = instances.parents(house.environment)
    assert stand_in.pid in [one.instance.pid for one in running(where)]
    assert stand_in.directory not in remove_stale(where)
    os.kill(stand_in.pid, signal.SIGKILL)
    stand_in.process.wait()
    assert stand_in.pid not in [one.instance.pid for one in running(where)]
    assert stand_in.directory in remove_stale(where)
    assert not os.path.exists(stand_in.directory)


def test_an_instance_that_is_stopped_is_not_dead(house: House) -> None:
    stand_in = house.engage()
    stand_in.stop()
    where = instances.parents(house.environment)
    assert stand_in.pid in [one.instance.pid for one in running(where)]
    assert stand_in.directory not in remove_stale(where)


def test_one_that_only_its_socket_shows_lives(parent: Path) -> None:
    """As in a container that shares the directory and not the pids."""
    where = directory(parent)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(where / instances.CONTROL))
        listener.listen()
        write(str(where), dead_instance())
        assert len(running([str(parent)])) == 1
        assert remove_stale([str(parent)]) == []
    assert remove_stale([str(parent)]) == [str(where)]


def test_one_that_is_just_starting_is_left_alone(parent: Path) -> None:
    fresh, living = directory(parent, f"{dead_pid()}-fresh"), directory(parent, f"{os.getpid()}-living")
    os.utime(living, (LONG_AGO, LONG_AGO))
    assert running([str(parent)]) == []
    assert remove_stale([str(parent)]) == []
    os.utime(fresh, (LONG_AGO, LONG_AGO))
    assert remove_stale([str(parent)]) == [str(fresh)]


def test_what_is_not_an_instances_is_never_touched(parent: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    write(str(elsewhere), dead_instance())
    (parent / f"{dead_pid()}-link").symlink_to(elsewhere)
    directory(parent, "notes")
    (parent / f"{dead_pid()}-file").touch()
    open_to_all = directory(parent, f"{dead_pid()}-open")
    open_to_all.chmod(0o755)
    for path in parent.iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)
    assert remove_stale([str(parent), str(tmp_path / "missing")]) == []
    assert len(list(parent.iterdir())) == 4
    assert (elsewhere / instances.FACTS).exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff"])
def test_facts_that_are_none_are_no_instance(parent: Path, content: bytes) -> None:
    where = directory(parent)
    (where / instances.FACTS).write_bytes(content)
    assert running([str(parent)]) == []
    assert remove_stale([str(parent)]) == []


def test_a_directory_that_is_named_twice_is_looked_at_once(parent: Path) -> None:
    write(str(directory(parent)), this_instance("/home", "fork"))
    assert len(running([str(parent), f"{parent}/../greenroom"])) == 1


def test_instances_are_looked_for_wherever_they_can_have_been_started() -> None:
    user = os.getuid()
    fixed = (f"/run/user/{user}/greenroom", f"/tmp/greenroom-{user}")
    assert instances.parents({}) == fixed
    assert instances.parents({"XDG_RUNTIME_DIR": "/x"}) == ("/x/greenroom", *fixed)
    assert instances.parents({"XDG_RUNTIME_DIR": f"/run/user/{user}"}) == fixed
