"""The programs with which people install the program, each with everything below one directory."""

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest


@dataclass
class Installer:
    """Installs from a directory of wheels, offline, into a user's home."""

    home: Path
    wheels: Path
    program: str
    name: ClassVar[str] = ""
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def find(cls, home: Path, wheels: Path) -> "Installer":
        """Return one that is on this machine, or skip the test and say why."""
        beside = Path(sys.executable).with_name(cls.name)
        program = shutil.which(cls.name) or (str(beside) if beside.exists() else None)
        if program is None:
            pytest.skip(f"{cls.name} is not there")
        return cls(home, wheels, program)

    @property
    def bin(self) -> Path:
        """The directory that a user has in `PATH`."""
        return self.home / ".local" / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a stranger, with nothing of this one."""
        return {"HOME": str(self.home), "PATH": f"{self.bin}{os.pathsep}/usr/bin{os.pathsep}/bin", **self.variables}

    def run(self, *words: str) -> str:
        """Run the program, and return what it printed."""
        done = subprocess.run(
            words, cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def install(self) -> None:
        raise NotImplementedError

    def uninstall(self) -> None:
        raise NotImplementedError


class Uv(Installer):
    name = "uv"

    @property
    def environment(self) -> dict[str, str]:
        offline = {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(self.wheels)}
        python = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
        return {**super().environment, **offline, **python}

    def install(self) -> None:
        self.run(self.program, "tool", "install", "--quiet", "greenroom")

    def uninstall(self) -> None:
        self.run(self.program, "tool", "uninstall", "--quiet", "greenroom")


class Pipx(Uv):
    """It installs with uv where that is there, and else with pip."""

    name = "pipx"

    @property
    def environment(self) -> dict[str, str]:
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        return {**super().environment, **pip, "PIPX_DEFAULT_PYTHON": sys.executable, "USE_EMOJI": "0"}

    def install(self) -> None:
        self.run(self.program, "install", "--quiet", "greenroom")

    def uninstall(self) -> None:
        self.run(self.program, "uninstall", "--quiet", "greenroom")


class Venv(Installer):
    """What is always there."""

    name = "python"

    def install(self) -> None:
        place = self.home / ".local" / "share" / "greenroom"
        venv.create(place, with_pip=False, symlinks=True)
        pip = (sys.executable, "-m", "pip", "--quiet", "--python", str(place / "bin" / "python"))
        self.run(*pip, "install", "--no-compile", "--no-index", f"--find-links={self.wheels}", "greenroom")
        self.bin.mkdir(parents=True)
        (self.bin / "greenroom").symlink_to(place / "bin" / "greenroom")

    def uninstall(self) -> None:
        shutil.rmtree(self.home / ".local")
