"""Packages of other languages and generations that the tests need: installed once, into a cache that git ignores."""

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
        with self._locked():
            place = CACHE / f"{self.name}-{hashlib.sha256(self.lock.read_bytes()).hexdigest()[:12]}"
            if not place.is_dir():
                self._install(place)
            for program in self.programs:
                _put(program, place)
        return place

    def _install(self, place: Path) -> None:
        if self.name in _refused:
            raise UnavailableError(_refused[self.name])
        unfinished = place.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for file in self.files:
            shutil.copy(file, unfinished)
        try:
            subprocess.run(self.command, cwd=unfinished, capture_output=True, text=True, timeout=TIMEOUT, check=True)
        except subprocess.TimeoutExpired:
            self._refuse(f"not in {TIMEOUT:.0f} seconds")
        except subprocess.CalledProcessError as error:
            told = (error.stderr + error.stdout).splitlines()
            self._refuse(next((line for line in told if "error" in line.lower()), f"status {error.returncode}"))
        unfinished.rename(place)

    def _refuse(self, reason: str) -> None:
        """Give up, and record it, so that no later test waits for the same twice."""
        _refused[self.name] = f"the packages for {self.name} could not be installed: {reason}"
        raise UnavailableError(_refused[self.name])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold a lock that other threads, and other runs on this checkout, respect."""
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _put(program: Path, place: Path) -> None:
    """Copy a program where that was not done, as a whole: others may be reading it."""
    target = place / program.name
    if not target.exists() or target.read_bytes() != program.read_bytes():
        fresh = target.with_suffix(".part")
        shutil.copy(program, fresh)
        fresh.replace(target)


_refused: dict[str, str] = {}
"""Why an installation failed, by name."""
