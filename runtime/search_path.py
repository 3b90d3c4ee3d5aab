"""The directories in which programs are looked up. No entry may lead into a workspace.

A relative or empty entry of `PATH` means the directory in which a program is started. That is usually a workspace,
where a command of the model may have put a program of any name.
"""

import os
from collections.abc import Iterable, Mapping


def with_absolute_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose `PATH`, if any, has no relative entries."""
    if "PATH" not in environment:
        return dict(environment)
    return {**environment, "PATH": absolute_path(environment["PATH"])}


def absolute_path(path: str | None, outside: Iterable[str] = ()) -> str:
    """Return a `PATH` without relative entries and entries within the directories `outside`.

    If none remain, the system's default path is returned.
    """
    apart = [os.path.realpath(directory) for directory in outside]
    entries = (entry for entry in (path or os.defpath).split(os.pathsep) if os.path.isabs(entry))
    return os.pathsep.join(entry for entry in entries if not _is_in(entry, apart)) or os.defpath


def _is_in(entry: str, directories: Iterable[str]) -> bool:
    real = os.path.realpath(entry)
    return any(os.path.commonpath((real, directory)) == directory for directory in directories)
