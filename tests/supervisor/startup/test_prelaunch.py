"""A fork server goes ahead of a server whose processes are forked, and of nothing else."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from greenroom.supervisor.startup import prelaunch as module
from greenroom.supervisor.startup.prelaunch import Prelaunch
from tests.support import processes
from tests.support.stage import Stage

FORKS = pytest.mark.skipif(not module.FORK_IS_SAFE, reason="processes are not forked on this platform")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the server that is to be."""
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))
    return tmp_path


def sent(*words: str) -> bool:
    """Tell whether a fork server was on its way; it is gone afterwards."""
    prelaunch = Prelaunch.launch(words)
    if prelaunch is None:
        return False
    for descriptor in (prelaunch.lifeline.reader, prelaunch.lifeline.writer):
        os.close(descriptor)
    if prelaunch.fork_server is None:
        return False
    prelaunch.abort()
    assert not psutil.pid_exists(prelaunch.fork_server.pid)
    return True


@FORKS
def test_it_is_sent_where_processes_are_forked(home: Path) -> None:
    assert sent("mcp-server")
    assert sent("mcp-server", "--engine", "fork", "-c", "model=x")
    (home / "config.toml").write_text('[greenroom]\nengine = "fork"\n')
    assert sent("mcp-server")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("status",),
        ("login",),
        ("mcp-server", "--engine", "spawn"),
        ("mcp-server", "--engine=spawn"),
        ("mcp-server", "-c", "greenroom.engine=spawn"),
    ],
)
def test_it_is_not_sent_for_anything_else(home: Path, words: tuple[str, ...]) -> None:
    assert not sent(*words)


def test_it_is_not_sent_where_the_file_wants_another_engine(home: Path) -> None:
    (home / "config.toml").write_text('[greenroom]\nengine = "spawn"\n')
    assert not sent("mcp-server")


def remove(home: Path) -> None:
    home.rmdir()


def spoil(home: Path) -> None:
    (home / ".env").write_bytes(b"NAME=\xff\n")


@pytest.mark.parametrize("harm", [remove, spoil])
def test_it_is_not_sent_into_surroundings_that_cannot_be_used(home: Path, harm: Callable[[Path], None]) -> None:
    """An error is reported later, where it is found again."""
    harm(home)
    assert not sent("mcp-server")


@pytest.mark.parametrize(("words", "status"), [(("--nonsense",), 2), (("--help",), 0)])
def test_a_command_line_that_starts_nothing_leaves_nothing(stage: Stage, words: tuple[str, ...], status: int) -> None:
    command = (sys.executable, "-I", "-m", "greenroom.supervisor.main", "mcp-server", *words)
    done = subprocess.run(command, check=False, capture_output=True, env=stage.environment(), timeout=30)
    assert done.returncode == status
    assert list(processes.marked(stage.run)) == []
