"""Finds or downloads the reference program: one exact version, for development only."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGE: Final = "@openai/codex"
VERSION: Final = "0.153.4"
VARIABLE: Final = "GREENROOM_BENCH_REFERENCE"
PLACE: Final = Path(__file__).parent / ".reference"
_INSTALL_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Found:
    """The reference program."""

    path: str
    native: bool
    """Whether it is the program itself rather than the script that starts it through Node."""

    @property
    def description(self) -> str:
        """Its kind, without its location."""
        return "its native binary" if self.native else "started through its Node launcher"


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no reference program."""

    reason: str


def ensure_reference(*, launcher: bool = False) -> Found | Missing:
    """Return the reference named by the environment, else the installed one, else install it with npm.

    Its users start it through a launcher that runs on Node. Unless `launcher` is set, the native program behind the
    launcher is returned, so that the comparison does not profit from Node's startup time.
    """
    named = os.environ.get(VARIABLE)
    path = Path(named) if named else PLACE / "node_modules" / ".bin" / "codex"
    if named and not os.access(named, os.X_OK):
        return Missing(f"${VARIABLE} names no program")
    if not path.exists():
        failure = _install()
        if failure is not None:
            return failure
    return Found(str(path.resolve()), native=path.resolve().suffix != ".js") if launcher else _native(path)


def _install() -> Missing | None:
    npm = shutil.which("npm")
    if npm is None:
        return Missing("there is no npm to install it with")
    PLACE.mkdir(exist_ok=True)
    (PLACE / ".gitignore").write_text("*\n", encoding="utf-8")
    command = [npm, "install", "--prefix", str(PLACE), "--no-audit", "--no-fund", f"{PACKAGE}@{VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Missing(f"npm took longer than {_INSTALL_SECONDS:.0f} s")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        return Missing(f"npm cannot install {PACKAGE}@{VERSION}: {lines[0].strip()}")
    return None


def _native(path: Path) -> Found:
    """Prefer the program itself to its launcher, which is in the same tree of packages."""
    resolved = path.resolve()
    for parent in resolved.parents:
        if parent.name == "node_modules":
            binaries = sorted(parent.glob("@openai/codex*/vendor/*/bin/codex"))
            if binaries and resolved not in binaries:
                return Found(str(binaries[0]), native=True)
    return Found(str(resolved), native=resolved.suffix != ".js")
