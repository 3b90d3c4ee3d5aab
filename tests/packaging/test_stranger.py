"""What somebody does who has never seen the program: install it, look around, use it from a client, remove it."""

import json
import os
from pathlib import Path

import pytest

from greenroom.demo.script import Text, rule
from tests.packaging.installers import Installer, Pipx, Uv, Venv
from tests.support.client import text
from tests.support.deadline import until
from tests.support.stage import Stage
from tests.support.template import MARKER

CONNECTED = {"mcpServers": {"codex": {"type": "stdio", "command": "greenroom", "args": ["mcp-server"], "env": {}}}}
"""What `claude mcp add --scope project codex -- greenroom mcp-server` writes into `.mcp.json`."""


def preferred(home: Path, wheels: Path) -> Installer:
    """Return the installer that the documentation names first, of those that are here."""
    for kind in (Pipx, Uv):
        try:
            return kind.find(home, wheels)
        except pytest.skip.Exception as missing:
            print(missing)
    return Venv.find(home, wheels)


def files(directory: Path) -> set[str]:
    """Return the files below a directory, without what the installer itself keeps."""
    found = {
        str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir() or path.is_symlink()
    }
    return {name for name in found if not name.startswith((".cache/", ".local/state/", ".local/share/pipx/"))}


def server_is_well(installer: Installer) -> bool:
    """Tell whether the server answers at its control socket, which it opens after it has answered its client."""
    return installer.run("sh", "-c", "greenroom status > /dev/null && echo well || true") == "well\n"


@pytest.mark.server
@pytest.mark.timeout(180)
def test_the_path_of_a_stranger(tmp_path: Path, wheels: Path, stage: Stage) -> None:
    home = tmp_path / "stranger"
    home.mkdir()
    installer = preferred(home, wheels)
    installer.variables = {"XDG_RUNTIME_DIR": str(stage.runtime), MARKER: stage.run, "TERM": "dumb"}
    installer.install()
    assert "mcp-server" in installer.run("greenroom", "--help")

    advice = installer.run("sh", "-c", "greenroom doctor; test $? -eq 2")
    assert "Run `greenroom login`" in advice, "nobody is logged in yet"
    installer.run("greenroom", "demo")
    assert not (home / ".codex" / "sessions").exists()

    # A model of one's own, as README.md has it, and a client that starts the server by its name
    stage.play(rule("hello", [Text("Good day.")]))
    (home / ".codex").mkdir(exist_ok=True)
    (home / ".codex" / "config.toml").write_text(stage.home.config.read_text())
    (home / ".mcp.json").write_text(json.dumps(CONNECTED))
    entry = json.loads((home / ".mcp.json").read_text())["mcpServers"]["codex"]
    program = installer.run("sh", "-c", f"command -v {entry['command']}").strip()
    server = stage.start(
        *entry["args"], program=[program], **{**installer.environment, "CODEX_HOME": str(home / ".codex")}
    )
    server.client.initialize()
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."

    until(lambda: server_is_well(installer))
    status = json.loads(installer.run("greenroom", "status", "--json"))
    assert [one["instance"]["pid"] for one in status["instances"]] == [server.pid]
    assert "hello" in installer.run("greenroom", "sessions")
    assert server.leave() == 0

    mine = {".mcp.json", ".codex/config.toml"}
    of_home = (".codex/sessions/", ".codex/log/", ".codex/thread-writer-locks/.coordination.lock")
    installer.uninstall()
    left = files(home) - mine
    assert [name for name in left if not name.startswith(of_home)] == []
    assert len([name for name in left if name.startswith(".codex/sessions/")]) == 1
    assert not os.path.lexists(installer.bin / "greenroom")
