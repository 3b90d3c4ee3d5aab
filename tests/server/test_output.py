"""Standard output carries the protocol and nothing else, whatever prints."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from greenroom.demo.script import CommandStep, Text, rule
from tests.support.client import text
from tests.support.server import PROGRAM
from tests.support.stage import Stage

EXECUTED = pytest.mark.executed  # what prints may be an import

NOISE = '''\
import atexit, os, sys, threading, warnings

class Announcer:
    """Prints at every import, as a library with a banner would."""

    def find_spec(self, name, path=None, target=None):
        if name in LOUD:
            print(f"NOISE: importing {name}", flush=True)
            os.write(1, b"NOISE: straight to the descriptor\\n")
            os.system("echo NOISE: from a child")
            warnings.warn("NOISE: a warning")
        return None

LOUD = {
    "asyncio",
    "zmq",
    "pydantic",
    "greenroom.supervisor.frontend.mcp.services",
    "greenroom.supervisor.processes.tree",
    "greenroom.protocol.internal.worker.operations",
    "greenroom.supervisor.frontend.mcp.front",
}
sys.meta_path.insert(0, Announcer())
atexit.register(print, "NOISE: at the end")
import greenroom.supervisor.main
sys.exit(greenroom.supervisor.main.main(sys.argv[1:]))
'''


@EXECUTED
def test_a_library_that_prints_does_not_reach_the_client(stage: Stage, tmp_path: Path) -> None:
    program = tmp_path / "noisy.py"
    program.write_text(NOISE)
    stage.play(rule("hello", [CommandStep(("echo", "from the command")), Text("x")], [Text("Good day.")]))
    server = stage.start(program=(sys.executable, str(program), "mcp-server"), PYTHONWARNINGS="always")
    server.client.initialize()
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    assert server.leave() == 0
    for line in server.client.lines:
        assert msgspec.json.decode(line)["jsonrpc"] == "2.0"
    for noise in ("importing zmq", "straight to the descriptor", "from a child", "a warning", "at the end"):
        assert f"NOISE: {noise}" in stage.told(), "it goes to standard error"


@pytest.mark.both_engines
@pytest.mark.parametrize("level", ["debug", "info"])
def test_logs_go_to_standard_error(stage: Stage, engine: str, level: str) -> None:
    stage.play(rule("hello", [Text("Good day.")]))
    server = stage.serve(engine, "--log-level", level)
    server.client.send_bytes(b"no message\n")
    server.client.result(server.client.codex("hello"))
    assert server.leave() == 0
    assert all(msgspec.json.decode(line)["jsonrpc"] == "2.0" for line in server.client.lines)
    assert "a line of the client fits no message" in stage.told()


@EXECUTED
@pytest.mark.both_engines
def test_a_quiet_run_says_nothing(stage: Stage, engine: str) -> None:
    stage.play(rule("hello", [Text("Good day.")]))
    server = stage.serve(engine)
    server.client.result(server.client.codex("hello"))
    assert server.leave() == 0
    assert stage.told() == ""


def test_a_wrong_command_line_is_explained_on_standard_error(stage: Stage) -> None:
    server = stage.start("--engine", "steam")
    assert server.wait() == 2
    assert server.client.read_to_end() == []
    assert "invalid choice: 'steam'" in stage.told()


def test_a_server_without_standard_input_says_so(stage: Stage) -> None:
    command = ("sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM)
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=stage.environment(), timeout=20)
    assert done.stdout == ""
    assert done.stderr.startswith("greenroom: ")
    assert done.returncode == 1


def test_the_version_is_told() -> None:
    command = (sys.executable, "-I", "-m", "greenroom.supervisor.main", "--version")
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)
    assert done.stdout.startswith("greenroom ")
