"""Who may be a client of a host: processes of its user, and none that it has started itself."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greenroom.demo.script import CommandStep, Text, rule
from tests.support.host import hosting
from tests.support.server import PROGRAM
from tests.support.stage import Stage

JOIN = rule("join", [CommandStep((*PROGRAM, "--attach"))], [Text("Tried.")])
CONNECT = """
import socket, sys
one = socket.socket(socket.AF_UNIX)
try:
    one.connect(sys.argv[1])
except PermissionError:
    print("no way in")
else:
    print(one.recv(10_000).decode())
"""
NOBODY = 65534


def as_nobody(python: str, path: str) -> str:
    """Return what another user of the machine gets at a socket."""
    done = subprocess.run(
        (python, "-I", "-c", CONNECT, path),
        user=NOBODY,
        group=NOBODY,
        extra_groups=(),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


@pytest.fixture
def another_users_python() -> str:
    """Return an interpreter that every user of the machine can run."""
    for found in (sys.executable, "/usr/bin/python3"):
        path = Path(found)
        if path.exists() and all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents):
            return found
    pytest.skip("another user can run no interpreter")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_gets_in_neither_by_the_directory_nor_past_it(stage: Stage, another_users_python: str) -> None:
    stage.play(JOIN)
    with hosting(stage) as host:
        client = host.client()
        assert as_nobody(another_users_python, host.path) == "no way in\n"
        for directory in (stage.runtime, Path(host.path).parent):
            directory.chmod(0o755)
        Path(host.path).chmod(0o666)
        answer: dict[str, Any] = json.loads(as_nobody(another_users_python, host.path))
        assert (answer["ok"], answer["kind"]) == (False, "peer")
        assert "belongs to another user" in answer["error"]
        assert client.ask("ping")["result"] == {}
        for directory in (stage.runtime, Path(host.path).parent):
            directory.chmod(0o700)


def test_a_command_of_the_model_cannot_join_the_host_that_runs_it(stage: Stage) -> None:
    stage.play(JOIN)
    with hosting(stage) as host:
        client = host.client()
        call = client.codex("join", sandbox="danger-full-access")
        client.result(call)
        ended = client.event(call, "exec_command_end")
        assert ended["exit_code"] == 1, (ended["stdout"], ended["stderr"], ended["exit_code"])
        assert "refuses this client" in ended["stderr"] + ended["stdout"]
