"""Puts the git commit into what is built from a checkout, as the file `greenroom/commit`.

An sdist carries it on, so that its wheel is the same. Where neither git nor such a file is there, none is added.
"""

import os
import subprocess
import tempfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = "src/greenroom/commit"
PLACES = {"wheel": "greenroom/commit", "sdist": CARRIED}


class CommitHook(BuildHookInterface[Any]):
    """The hook of hatchling; it finds the class by its base."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file. An editable installation is a checkout, whose commit changes."""
        self._made: str | None = None
        if version == "editable":
            return
        carried = os.path.join(self.root, CARRIED)
        if os.path.exists(carried):
            build_data["force_include"][carried] = PLACES[self.target_name]
            return
        commit = described(self.root)
        if commit is None:
            return
        descriptor, self._made = tempfile.mkstemp()
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{commit}\n")
        os.chmod(self._made, 0o644)
        build_data["force_include"][self._made] = PLACES[self.target_name]

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was made."""
        del version, build_data, artifact_path
        if self._made is not None:
            os.unlink(self._made)


def described(root: str) -> str | None:
    """Return the commit of a checkout, with `+changes` where its files differ from it; `None` outside of one."""
    if not os.path.exists(os.path.join(root, ".git")):
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: str, *words: str) -> str:
    done = subprocess.run(("git", *words), cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()
