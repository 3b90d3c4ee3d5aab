"""Clients of other makers and generations, run as processes of their own.

Each program in `clients/` gets a scene as its only argument and executes it: it lists the tools, calls `codex` with a
command that must be approved, and approves; continues with `codex-reply`; cancels a third call at its first progress;
and makes a fourth. The last line that it prints is the report. Scene and report are JSON objects.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from greenroom.demo.script import CommandStep, Quote, ScriptRule, Stall, Text, rule
from tests.conformance.packages import Packages, UnavailableError
from tests.support.server import PROGRAM
from tests.support.stage import Stage

CLIENTS: Final = Path(__file__).with_name("clients")
TIMEOUT: Final = 40.0
"""Seconds that a client may take."""
OLDEST_NODE: Final = 20

FIRST, REPLY, GIVEN_UP = "start", "go on", "stall"
RULES: Final[tuple[ScriptRule, ...]] = (
    rule(FIRST, [Text(("Good ", "day.")), CommandStep(("sh", "-c", "x=to; echo $x you"))], [Quote("Good day ")]),
    rule(REPLY, [Text("And to you again.")]),
    rule(GIVEN_UP, [Text("hm"), Stall()]),
)

Report: TypeAlias = dict[str, Any]
NOTHING_MORE: Final[Mapping[str, object]] = MappingProxyType({})

_PIP: Final = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=0")
PYTHON_PACKAGES: Final = Packages(
    name=f"python-{sys.version_info[0]}.{sys.version_info[1]}",
    lock=CLIENTS / "requirements.txt",
    command=(
        *(*_PIP, "--timeout=10", "--no-deps", "--require-hashes", "--target=packages"),
        *("--requirement", str(CLIENTS / "requirements.txt")),
    ),
)
NODE_PACKAGES: Final = Packages(
    name="node",
    lock=CLIENTS / "package-lock.json",
    command=(
        *("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--loglevel=error"),
        *("--fetch-retries=0", "--fetch-timeout=15000"),
    ),
    files=(CLIENTS / "package.json", CLIENTS / "package-lock.json"),
    programs=tuple(CLIENTS.glob("*.mjs")),
)


@dataclass(frozen=True)
class Program:
    """A client as it is started."""

    command: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            (*self.command, *arguments),
            cwd=self.cwd,
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )


def python_1() -> Program:
    """Return the official client of generation 1.x. Raises `UnavailableError`."""
    place = PYTHON_PACKAGES.installed()
    return Program((sys.executable, str(CLIENTS / "python1.py")), place, {"PYTHONPATH": str(place / "packages")})


def typescript(program: str) -> Program:
    """Return a program over the TypeScript SDK. Raises `UnavailableError`."""
    check_node()
    place = NODE_PACKAGES.installed()
    return Program(("node", program), place, {})


def inspector() -> Program:
    """Return the inspector's command line. Raises `UnavailableError`."""
    check_node()
    package = NODE_PACKAGES.installed() / "node_modules" / "@modelcontextprotocol" / "inspector-cli"
    return Program(("node", "index.js"), package / "build", {})  # it looks for its name from where it is started


def check_node() -> None:
    """Raise `UnavailableError` where there is no Node that the SDKs accept."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is not installed")
    told = subprocess.run(("node", "--version"), capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout
    if int(told.strip().lstrip("v").partition(".")[0]) < OLDEST_NODE:
        raise UnavailableError(f"node {told.strip()} is installed, and the SDK needs {OLDEST_NODE}")


def play(program: Program, stage: Stage, mode: str, more: Mapping[str, object] = NOTHING_MORE) -> Report:
    """Let a client play its scene with a server of this stage, and return its report.

    With `more` it is a server over HTTP: `url`, and the `headers` of every request.
    """
    scene = {
        "command": PROGRAM[0],
        "args": PROGRAM[1:],
        "environment": stage.environment(),
        "cwd": stage.cwd,
        "mode": mode,
        "first": FIRST,
        "reply": REPLY,
        "given_up": GIVEN_UP,
        **more,
    }
    ended = program.run(json.dumps(scene))
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    report: Report = json.loads(ended.stdout.splitlines()[-1])
    return report


CAST: Final[Mapping[str, tuple[Callable[[], Program], str]]] = {
    "Python SDK 1": (python_1, ""),
    "TypeScript SDK 1": (lambda: typescript("typescript1.mjs"), ""),
    "TypeScript SDK 2, legacy": (lambda: typescript("typescript2.mjs"), "legacy"),
    "TypeScript SDK 2, auto": (lambda: typescript("typescript2.mjs"), "auto"),
}
"""The clients that play the scene, each with the mode in which it negotiates."""


def play_all(stage: Stage, more: Mapping[str, object] = NOTHING_MORE) -> dict[str, Report | UnavailableError]:
    """Let all clients play at the same time, each with a server of its own on one home, or as `play` says."""

    def perform(name: str) -> Report | UnavailableError:
        find, mode = CAST[name]
        try:
            return play(find(), stage, mode, more)
        except UnavailableError as error:
            return error

    with ThreadPoolExecutor(len(CAST)) as pool:
        return dict(zip(CAST, pool.map(perform, CAST), strict=True))
