"""Packages of other languages and generations that the tests need: installed once, into a cache that git ignores."""

import hashlib
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.installation import Installation, InstallationError

CACHE: Final = Path(__file__).parents[2] / ".cache" / "clients"
TIMEOUT: Final = 40.0
"""Seconds that an installation may take."""


class UnavailableError(Exception):
    """Something cannot be had here; the text says why."""


@dataclass(frozen=True)
class Packages:
    """What one lock file names."""

    name: str
    lock: Path
    command: tuple[str, ...]
    """Installs them below the directory in which it runs."""
    files: tuple[Path, ...] = ()
    """What that directory must hold for it."""
    programs: tuple[Path, ...] = ()
    """What finds its packages only where it lies beside them."""

    def installed(self) -> Path:
        """Return the directory, and install first what is not there. Raises `UnavailableError`."""
        place = CACHE / f"{self.name}-{hashlib.sha256(self.lock.read_bytes()).hexdigest()[:12]}"
        try:
            Installation(place).ensure(lambda: self._install(place))
        except InstallationError as error:
            raise UnavailableError(f"the packages for {self.name} could not be installed: {error}") from None
        for program in self.programs:
            _put(program, place)
        return place

    def _install(self, place: Path) -> None:
        for file in self.files:
            shutil.copy(file, place)
        try:
            subprocess.run(self.command, cwd=place, capture_output=True, text=True, timeout=TIMEOUT, check=True)
        except subprocess.TimeoutExpired:
            raise InstallationError(f"not in {TIMEOUT:.0f} seconds") from None
        except subprocess.CalledProcessError as error:
            told = (error.stderr + error.stdout).splitlines()
            reason = next((line for line in told if "error" in line.lower()), f"status {error.returncode}")
            raise InstallationError(reason) from None


def _put(program: Path, place: Path) -> None:
    """Copy a program where that was not done, as a whole: others may be reading it, or copying it too."""
    target = place / program.name
    if not target.exists() or target.read_bytes() != program.read_bytes():
        fresh = target.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        shutil.copy(program, fresh)
        fresh.replace(target)
