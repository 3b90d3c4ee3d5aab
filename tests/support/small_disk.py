"""A file system of a few megabytes that can be filled; an ordinary directory where none can be made."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

SIZE: Final = "4m"
_FILLER: Final = "filler"


class SmallDisk:
    """Needs the right to mount to be one: see `is_small`."""

    def __enter__(self) -> Self:
        # short, because the addresses of sockets are limited
        self.path = Path(tempfile.mkdtemp(prefix="gr-", dir="/tmp"))
        self.left: set[str] = set()
        """Files that were there at the end, by path."""
        options = f"size={SIZE},mode=0700"
        mount = shutil.which("mount")
        self.is_small = mount is not None and not _run(mount, "-t", "tmpfs", "-o", options, "tmpfs", str(self.path))
        """Whether it is a file system of its own."""
        (self.path / "run").mkdir(mode=0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.empty()
        files = (Path(where, name) for where, _, names in os.walk(self.path) for name in names)
        self.left = {str(file.relative_to(self.path)) for file in files}
        if self.is_small:
            _run("umount", "--lazy", str(self.path))
        shutil.rmtree(self.path, ignore_errors=True)

    def fill(self) -> None:
        """Leave no room in it."""
        assert self.is_small
        with (self.path / _FILLER).open("ab", buffering=0) as filler:
            block = 1 << 16
            while block:
                try:
                    filler.write(bytes(block))
                except OSError:
                    block //= 2

    def empty(self) -> None:
        """Give the room back."""
        (self.path / _FILLER).unlink(missing_ok=True)


def _run(*words: str) -> int:
    return subprocess.run(words, capture_output=True, timeout=20, check=False).returncode
