"""Installs what is fetched from package indexes: once, for all processes of a checkout.

Where it cannot be had, that holds for all of them for some minutes: nobody waits for the same twice in one run.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from greenroom.runtime.files import filelock

FAILURE_SECONDS: Final = 300.0
"""For how long a failure is believed."""
_PATIENCE_SECONDS: Final = 900.0
"""For how long another process may be installing."""
_PAUSE_SECONDS: Final = 0.2
_DONE: Final = ".installed"
_FAILED: Final = ".failed"


class InstallationError(Exception):
    """Something cannot be installed here; the text says why."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is installed in a directory of its own."""

    place: Path
    key: str = ""
    """What is installed there, say the text of a lock file: with another one it is installed anew."""

    @property
    def is_done(self) -> bool:
        """Tell whether it is there as a whole."""
        try:
            return (self.place / _DONE).read_text(encoding="utf-8") == self.key
        except OSError:
            return False

    def ensure(self, install: Callable[[], None]) -> None:
        """Fill the directory by `install`, unless that was done; of several processes one does it, the others wait.

        `install` raises `InstallationError`, and so does this, also for a failure of some minutes ago.
        """
        if self.is_done:
            return
        self.place.mkdir(parents=True, exist_ok=True)
        # Not in the directory: an installer may lock a file of its own there, and wait for ours.
        with filelock.opened(f"{self.place}.lock") as lock:
            filelock.acquire(lock, _PATIENCE_SECONDS, _PAUSE_SECONDS)
            if not self.is_done:
                self._fill(install)

    def _fill(self, install: Callable[[], None]) -> None:
        if (reason := self._recent_failure()) is not None:
            raise InstallationError(reason)
        self._clear()
        try:
            install()
        except InstallationError as error:
            (self.place / _FAILED).write_text(str(error), encoding="utf-8")
            raise
        (self.place / _DONE).write_text(self.key, encoding="utf-8")

    def _recent_failure(self) -> str | None:
        failed = self.place / _FAILED
        try:
            is_recent = time.time() - failed.stat().st_mtime < FAILURE_SECONDS
            return failed.read_text(encoding="utf-8") if is_recent else None
        except OSError:
            return None

    def _clear(self) -> None:
        """Remove what an earlier installation has left, which may have been broken off."""
        for entry in self.place.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
