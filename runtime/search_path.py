"""The directories in which programs are looked up by their name. A name never leads into where somebody works.

A relative entry of `PATH`, or an empty one, stands for the directory in which a program is started. That is mostly a
workspace, in which a command of the model may have put a program of any name.
"""

import os
from collections.abc import Iterable, Mapping


def with_absolute_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose `PATH`, if it has one, holds nothing relative."""
    if "PATH" not in environment:
        return dict(environment)
    return {**environment, "PATH": absolute_path(environment["PATH"])}


def absolute_path(path: str | None, outside: Iterable[str] = ()) -> str:
    """Return a `PATH` without the entries that are relative, or that lie in one of the directories `outside`.

    Where none is left it is the system's own.
    """
    apart = [os.path.realpath(directory) for directory in outside]
    entries = (entry for entry in (path or os.defpath).split(os.pathsep) if os.path.isabs(entry))
    return os.pathsep.join(entry for entry in entries if not _is_in(entry, apart)) or os.defpath


def _is_in(entry: str, directories: Iterable[str]) -> bool:
    real = os.path.realpath(entry)
    return any(os.path.commonpath((real, directory)) == directory for directory in directories)
