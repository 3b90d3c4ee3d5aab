"""Programs of other makers and generations, run as processes of their own, with packages from their registries.

Each program in `clients/` gets what it is to do as its only argument, a JSON object, and prints a report as its last
line, a JSON object too.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from tests.conformance.packages import Packages, UnavailableError
from tests.support.imported import Imported

CLIENTS: Final = Path(__file__).with_name("clients")
TIMEOUT: Final = 40.0
"""Seconds that a client may take unless more is allowed."""
OLDEST_NODE: Final = 20

_PIP: Final = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=0")
_NPM: Final = (
    *("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--loglevel=error"),
    *("--fetch-retries=0", "--fetch-timeout=15000"),
)


def python_packages(name: str, lock: str) -> Packages:
    """Return the packages of one lock file for pip, beyond those of our own development environment."""
    path = CLIENTS / lock
    return Packages(
        name=f"{name}-{sys.version_info[0]}.{sys.version_info[1]}",
        lock=path,
        command=(
            *(*_PIP, "--timeout=10", "--no-deps", "--require-hashes", "--target=packages"),
            *("--requirement", str(path)),
        ),
    )


def node_packages(name: str, place: Path) -> Packages:
    """Return the packages of one lock file for npm, with the programs beside it. Optional packages are left out: they
    are the program of the reference for each platform."""
    return Packages(
        name=name,
        lock=place / "package-lock.json",
        command=_NPM,
        files=(place / "package.json", place / "package-lock.json"),
        programs=tuple(place.glob("*.mjs")),
    )


PYTHON_PACKAGES: Final = python_packages("python", "requirements.txt")
NODE_PACKAGES: Final = node_packages("node", CLIENTS)
CODEX_SDK: Final = python_packages("codex-sdk", "codex-sdk.txt")


@dataclass(frozen=True)
class Program:
    """A client as it is started."""

    command: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    timeout: float = TIMEOUT

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            (*self.command, *arguments),
            cwd=self.cwd,
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=False,
        )


class Imports:
    """Has the imports of programs of Python made once, and starts each by a fork; for several threads. `close` it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._imported: dict[tuple[str, ...], Imported] = {}

    def of(self, program: Program) -> Program:
        """Return a program as it is started so; one in another language as it is."""
        interpreter, script = program.command
        if interpreter != sys.executable:
            return program
        with self._lock:
            if program.command not in self._imported:
                imported = Imported(Path(script), environment={**os.environ, **program.environment})
                self._stack.callback(imported.close)
                self._imported[program.command] = imported
        return replace(program, command=self._imported[program.command].command)

    def close(self) -> None:
        self._stack.close()


def python_1() -> Program:
    """Return the official MCP client of generation 1.x. Raises `UnavailableError`."""
    place = PYTHON_PACKAGES.installed()
    return Program((sys.executable, str(CLIENTS / "python1.py")), place, {"PYTHONPATH": str(place / "packages")})


def python_2() -> Program:
    """Return the official MCP client of generation 2.x, which is in our own development environment."""
    return Program((sys.executable, str(CLIENTS / "python2.py")), CLIENTS, {})


def typescript(program: str) -> Program:
    """Return a program over the TypeScript SDK for MCP. Raises `UnavailableError`."""
    check_node()
    place = NODE_PACKAGES.installed()
    return Program(("node", program), place, {})


def codex_sdk(program: str = "codex_sdk_matrix.py") -> Program:
    """Return a program over the official Python SDK for `codex app-server`. Raises `UnavailableError`."""
    place = CODEX_SDK.installed()
    return Program((sys.executable, str(CLIENTS / program)), place, {"PYTHONPATH": str(place / "packages")})


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
    told = _version_of_node()
    if int(told.strip().lstrip("v").partition(".")[0]) < OLDEST_NODE:
        raise UnavailableError(f"node {told.strip()} is installed, and the SDK needs {OLDEST_NODE}")


@cache
def _version_of_node() -> str:
    return subprocess.run(("node", "--version"), capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout
