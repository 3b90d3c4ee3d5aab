"""Where the reference program is found, or fetched to: a development-only download of one exact version."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.installation import Installation, InstallationError

PACKAGE: Final = "@openai/codex"
PLACE: Final = Path(__file__).parent / ".reference"
_INSTALL_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the reference, the variable that may name a program of it, and where it is installed."""

    version: str
    variable: str
    place: Path


LAST_MCP_SERVER: Final = Release("0.153.4", "GREENROOM_BENCH_REFERENCE", PLACE / "mcp-server")
"""The last release that has an MCP server."""
NEWEST: Final = Release("0.171.0", "GREENROOM_NEWEST_REFERENCE", PLACE / "newest")
"""The release with whose app server ours is compared."""
VERSION: Final = LAST_MCP_SERVER.version
VARIABLE: Final = LAST_MCP_SERVER.variable


@dataclass(frozen=True, slots=True)
class Found:
    """The reference program."""

    path: str
    native: bool
    """Whether it is the program itself rather than the script that starts it through Node."""

    @property
    def description(self) -> str:
        """What it is, without saying where."""
        return "its native binary" if self.native else "started through its Node launcher"


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no reference program."""

    reason: str


def ensure_reference(*, launcher: bool = False, release: Release = LAST_MCP_SERVER) -> Found | Missing:
    """Return the reference that the environment names, else the one installed here, else install it with npm.

    Its users start it through a launcher that runs on Node. Unless `launcher` is set, what is returned is the native
    program that the launcher starts, so that the comparison is not won by leaving Node out. With `launcher` it is
    `Missing` where there is none.
    """
    named = os.environ.get(release.variable)
    path = Path(named) if named else release.place / "node_modules" / ".bin" / "codex"
    if named and not os.access(named, os.X_OK):
        return Missing(f"${release.variable} names no program")
    if not named:
        failure = _install(release)
        if failure is not None:
            return failure
    resolved = path.resolve()
    if not launcher:
        return _native(resolved)
    return Found(str(resolved), native=False) if resolved.suffix == ".js" else Missing("there is no launcher")


def _install(release: Release) -> Missing | None:
    npm = shutil.which("npm")
    if npm is None:
        return Missing("there is no npm to install it with")
    PLACE.mkdir(exist_ok=True)
    (PLACE / ".gitignore").write_text("*\n", encoding="utf-8")
    try:
        Installation(release.place).ensure(lambda: _install_with(npm, release))
    except InstallationError as error:
        return Missing(str(error))
    return None


def _install_with(npm: str, release: Release) -> None:
    package = f"{PACKAGE}@{release.version}"
    options = ("--no-audit", "--no-fund", "--fetch-retries=1")
    command = (npm, "install", "--prefix", str(release.place), *options, package)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise InstallationError(f"npm took longer than {_INSTALL_SECONDS:.0f} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise InstallationError(f"npm cannot install {package}: {lines[0].strip()}")


def _native(resolved: Path) -> Found:
    """Prefer the program itself to its launcher, which lies beside it in the same tree of packages."""
    for parent in resolved.parents:
        if parent.name == "node_modules":
            binaries = sorted(parent.glob("@openai/codex*/vendor/*/bin/codex"))
            if binaries and resolved not in binaries:
                return Found(str(binaries[0]), native=True)
    return Found(str(resolved), native=resolved.suffix != ".js")
