"""Every snippet of the guides is run, or read by what it is meant for; one that nobody knows how to run fails."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from greenroom.config.settings import ConversationOverrides, resolve_settings
from greenroom.config.tables.greenroom import server_settings
from greenroom.demo.script import Text, rule
from tests.docs.test_generated import DOCS, ROOT
from tests.support.client import text
from tests.support.stage import Stage

PAGES: Final = (
    "start.md",
    "troubleshooting.md",
    *sorted(f"guides/{path.name}" for path in (DOCS / "guides").iterdir()),
)
RUN: Final = frozenset({"sh", "python", "toml", "json"})
ANSWER: Final = "Three files, the largest of which is README.md."
SHIM: Final = """#!/bin/sh
# Stands in for a program that is not part of this repository: notes what it was asked for.
printf '%s\\n' "$*" >> "$SHIM_LOG"
case "$(basename "$0") $*" in {accepted}) ;; *) exit 64 ;; esac
"""
ACCEPTED: Final = {
    "claude": "'claude mcp add codex -- greenroom mcp-server'*",
    "pipx": "'pipx install .'|'pipx uninstall greenroom'",
}
"""What the other programs of the snippets understand."""


class Snippet(NamedTuple):
    page: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def snippets() -> Iterator[Snippet]:
    for page in PAGES:
        found = re.findall(r"^```(\w*)\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
        for number, (language, content) in enumerate(found):
            yield Snippet(page, number, language, content)


ALL: Final = list(snippets())


def of(language: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("snippet", [one for one in ALL if one.language == language], ids=str)


def test_it_is_known_how_to_run_each() -> None:
    assert [str(one) for one in ALL if one.language not in RUN] == []
    assert {one.language for one in ALL} == RUN


@pytest.fixture
def surroundings(stage: Stage, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has installed the program, with a model that answers."""
    stage.play(rule("", [Text(ANSWER)]))
    shims = tmp_path / "shims"
    shims.mkdir()
    for name, accepted in ACCEPTED.items():
        (shims / name).write_text(SHIM.format(accepted=accepted))
        (shims / name).chmod(0o755)
    home = tmp_path / "person"
    home.mkdir()
    path = os.pathsep.join((str(shims), str(stage.programs), os.environ["PATH"]))
    return stage.environment(PATH=path, HOME=str(home), SHIM_LOG=str(tmp_path / "shim.log"), OPENAI_API_KEY="sk-test")


def start(stage: Stage, command: list[str], environment: dict[str, str]) -> None:
    """Start a server as a client does, and see that it answers."""
    assert command[0] == "greenroom"
    server = stage.start(*command[1:], program=[stage.program], **environment)
    server.client.initialize()
    assert text(server.client.result(server.client.codex("hello"))) == ANSWER
    assert server.leave() == 0


@pytest.mark.server
@pytest.mark.timeout(120)
@of("sh")
def test_a_snippet_for_the_shell_works(stage: Stage, surroundings: dict[str, str], snippet: Snippet) -> None:
    done = subprocess.run(
        ("bash", "-e", "-o", "pipefail", "-c", snippet.text),
        cwd=ROOT,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    log = Path(surroundings["SHIM_LOG"])
    for line in log.read_text().splitlines() if log.exists() else ():
        if line.startswith("mcp add codex -- "):
            start(stage, line.removeprefix("mcp add codex -- ").split(), surroundings)


@pytest.mark.server
@of("json")
def test_a_client_starts_what_its_configuration_says(
    stage: Stage, surroundings: dict[str, str], snippet: Snippet
) -> None:
    for server in json.loads(snippet.text)["mcpServers"].values():
        start(stage, [server["command"], *server["args"]], surroundings)


@of("toml")
def test_a_snippet_of_settings_is_accepted(tmp_path: Path, snippet: Snippet) -> None:
    (tmp_path / "config.toml").write_text(snippet.text)
    assert tomllib.loads(snippet.text)
    server_settings(str(tmp_path), ())
    settings = resolve_settings(str(tmp_path), (), ConversationOverrides.from_json(b"{}"), str(tmp_path), {})
    assert settings.warnings == ()


@pytest.mark.server
@pytest.mark.timeout(120)
@of("python")
def test_a_program_works(stage: Stage, surroundings: dict[str, str], snippet: Snippet, tmp_path: Path) -> None:
    program = tmp_path / "snippet.py"
    program.write_text(snippet.text)
    compile(snippet.text, str(program), "exec")
    missing = [name for name in re.findall(r"^(?:from|import) (\w+)", snippet.text, re.MULTILINE) if not is_there(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    done = subprocess.run(
        (sys.executable, str(program)),
        cwd=stage.cwd,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, [ANSWER, ANSWER]), done.stderr


def is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


QUOTED: Final = re.compile(r"`([^`]+)`")
FOREIGN: Final = frozenset({"command not found: greenroom"})
"""Said by other programs."""


def symptoms() -> Iterator[str]:
    """Yield the messages that the page about symptoms quotes, cut at what varies."""
    for line in (DOCS / "troubleshooting.md").read_text("utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| You see"):
            for quoted in QUOTED.findall(line.split(" | ")[0]):
                yield from (part.strip() for part in quoted.split("…") if len(part.strip()) > 2)


def test_every_message_that_is_quoted_is_in_the_source() -> None:
    packages = ("broker", "config", "protocol", "runtime", "sessions", "supervisor", "workers")
    source = "\n".join(path.read_text("utf-8") for name in packages for path in (ROOT / name).rglob("*.py"))
    quoted = set(symptoms()) - FOREIGN
    assert len(quoted) > 15
    assert [message for message in sorted(quoted) if message not in source] == []
