"""The interpreters of this machine, and Greenroom installed on each: an environment of its own for every version."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.installation import Installation, InstallationError
from benchmarks.subject import GREENROOM, Subject

VERSIONS: Final = ((3, 11), (3, 12), (3, 13))
"""Versions of CPython that the program supports."""
PLACE: Final = Path(__file__).parent / ".interpreters"
_PROJECT: Final = Path(__file__).parent.parent
_LOCK: Final = _PROJECT / "requirements-dev.txt"
_TELL: Final = "import sys; print(*sys.version_info[:2])"
_INSTALL_SECONDS: Final = 600.0

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """Why there is no environment on a version."""

    version: Version
    reason: str


@cache
def interpreters() -> dict[Version, str]:
    """Return one interpreter of each version: this one, else one of the search path, else one that pyenv has."""
    found: dict[Version, str] = {sys.version_info[:2]: sys.executable}
    for version in VERSIONS:
        path = None if version in found else next((path for path in _candidates(version) if _is(path, version)), None)
        if path is not None:
            found[version] = path
    return found


def others() -> list[Subject | Uninstalled]:
    """Return Greenroom on every version but the one that runs this, installed where that was not done before."""
    found = ((version, installed(version)) for version in VERSIONS if version != sys.version_info[:2])
    return [
        one if isinstance(one, Uninstalled) else Subject(name_of(version), (str(one / "greenroom"), "mcp-server"))
        for version, one in found
    ]


def name_of(version: Version) -> str:
    """Return the name of the subject that is Greenroom on a version."""
    return f"{GREENROOM} on CPython {_text(version)}"


def installed(version: Version) -> Path | Uninstalled:
    """Return the directory of the programs of an environment on a version, with all packages; make it if need be."""
    interpreter = interpreters().get(version)
    if interpreter is None:
        return Uninstalled(version, "there is no such interpreter on this machine")
    installation = _installation(version)
    try:
        installation.ensure(lambda: _install(interpreter, installation.place))
    except InstallationError as error:
        return Uninstalled(version, str(error))
    return installation.place / "bin"


def _installation(version: Version) -> Installation:
    return Installation(PLACE / _text(version), key=_LOCK.read_text(encoding="utf-8"))


def _install(interpreter: str, place: Path) -> None:
    reason = _run((interpreter, "-m", "venv", "--without-pip", str(place))) or _fill(place)
    if reason is not None:
        raise InstallationError(reason)


def _fill(place: Path) -> str | None:
    """Install all packages and the program into an environment, and return why that failed, if it did."""
    python = str(place / "bin" / "python")
    locked = ("--require-hashes", "--requirement", str(_LOCK))
    program = ("--no-deps", "--no-build-isolation", "--editable", str(_PROJECT))
    # Ten times as fast; but it does not read pip's settings, which may name the only index that can be reached.
    uv = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python)
    if _run((*uv, *locked)) is None and _run((*uv, *program)) is None:
        return None
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", python, "install")
    return _run((*pip, "--no-compile", *locked)) or _run((*pip, *program))


def is_ready(version: Version) -> bool:
    """Tell whether there is such an environment, with the packages of today."""
    return _installation(version).is_done


def _run(command: Sequence[str]) -> str | None:
    """Run a command, and return why it failed, if it did."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout or "").strip().splitlines()
        return lines[-1] if lines else f"exit status {error.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}"
    return None


def _candidates(version: Version) -> list[str]:
    name = f"python{_text(version)}"
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    of_path = shutil.which(name)
    return [*([of_path] if of_path else []), *map(str, sorted(root.glob(f"versions/{_text(version)}.*/bin/{name}")))]


def _is(path: str, version: Version) -> bool:
    """Tell whether a program is an interpreter of a version; pyenv has scripts that only bear such a name."""
    try:
        ran = subprocess.run([path, "-I", "-c", _TELL], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.stdout.split() == [str(number) for number in version]


def _text(version: Version) -> str:
    return ".".join(map(str, version))
