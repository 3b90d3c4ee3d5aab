"""The Python interpreters of this machine that the program supports, besides the one that runs the tests."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

VERSIONS: Final = ((3, 11), (3, 12), (3, 13))
_TELL: Final = "import sys; print(*sys.version_info[:2])"


@cache
def interpreters() -> dict[tuple[int, int], str]:
    """Return one interpreter of each version: this one, else one of the search path, else one that pyenv has."""
    found = {sys.version_info[:2]: sys.executable}
    for version in VERSIONS:
        path = None if version in found else next((path for path in _candidates(version) if _is(path, version)), None)
        if path is not None:
            found[version] = path
    return found


def _candidates(version: tuple[int, int]) -> list[str]:
    name = ".".join(map(str, version))
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    of_path = shutil.which(f"python{name}")
    return [*([of_path] if of_path else []), *map(str, sorted(root.glob(f"versions/{name}.*/bin/python{name}")))]


def _is(path: str, version: tuple[int, int]) -> bool:
    """Tell whether a program is an interpreter of a version; pyenv has scripts that only bear such a name."""
    try:
        ran = subprocess.run([path, "-I", "-c", _TELL], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.stdout.split() == [str(number) for number in version]
