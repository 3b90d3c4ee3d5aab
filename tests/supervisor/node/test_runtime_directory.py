"""A node leaves no directory: neither at its end, nor, once the next one runs, where it was killed."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.supervisor.node.runtime_directory import runtime_directory
from greenroom.supervisor.startup.host_lock import HostLock


@pytest.fixture
def runtime() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gr-", dir="/tmp") as path:  # short, as addresses of sockets are limited
        yield Path(path)


def test_a_directory_is_removed_at_the_end_or_by_the_next_run(tmp_path: Path, runtime: Path) -> None:
    state = str(tmp_path / "state")
    environment = {"XDG_RUNTIME_DIR": str(runtime)}
    other = runtime / "greenroom" / "1-other"
    lock = HostLock.acquire(state)
    with runtime_directory(lock, state, environment) as ended:
        assert Path(ended).stat().st_mode & 0o777 == 0o700
    assert not Path(ended).exists()
    killed = runtime_directory(lock, state, environment)
    left = killed.__enter__()
    other.mkdir(mode=0o700)
    lock.close()
    lock = HostLock.acquire(state)
    with runtime_directory(lock, state, environment) as fresh:
        assert sorted(os.listdir(runtime / "greenroom")) == sorted([os.path.basename(fresh), "1-other"])
    assert not Path(left).exists()
    lock.close()


def test_nothing_else_is_removed_whatever_the_lock_says(tmp_path: Path, runtime: Path) -> None:
    state = str(tmp_path / "state")
    foreign = tmp_path / "1-foreign"
    foreign.mkdir(mode=0o700)
    lock = HostLock.acquire(state)
    lock.write(str(foreign))
    with runtime_directory(lock, state, {"XDG_RUNTIME_DIR": str(runtime)}):
        assert foreign.exists()
    lock.close()


def test_settings_that_a_killed_worker_was_writing_are_removed(tmp_path: Path, runtime: Path) -> None:
    state = tmp_path / "state"
    lock = HostLock.acquire(str(state))
    (state / "config.toml").write_text("kept")
    (state / ".config.toml.4711").write_text("half of")
    with runtime_directory(lock, str(state), {"XDG_RUNTIME_DIR": str(runtime)}):
        assert not (state / ".config.toml.4711").exists(), "by the next run of the node"
        (state / ".AGENTS.md.4712").write_text("half of")
    assert sorted(os.listdir(state)) == [".greenroom-host.lock", "config.toml"], "and at its end"
    lock.close()
