"""Paths as people write them in settings and arguments."""

import os
from collections.abc import Mapping

from greenroom.config.home import user_home
from greenroom.protocol.errors import ConfigError


def resolve_path(base: str, path: str, environment: Mapping[str, str]) -> str:
    """Return an absolute path without `.` and `..`; a relative one is relative to `base`, which is absolute.

    `~` and paths that begin with `~/` are relative to the user's home, as in a shell; `./~` is an entry of that name.
    Other users' homes (`~name`) are not supported. Raises `ConfigError` if the user has no home.
    """
    if path == "~" or path.startswith("~/"):
        path = user_home(environment) + path[1:]
    return os.path.normpath(os.path.join(base, path))


def require_directory(path: str, key: str) -> None:
    """Raise `ConfigError` if no command could start in a directory. `key` is the argument that names it."""
    if not os.path.exists(path):
        fault = f"the directory {path} does not exist"
    elif not os.path.isdir(path):
        fault = f"{path} is not a directory"
    elif not os.access(path, os.X_OK):
        fault = f"the directory {path} cannot be entered"
    else:
        return
    raise ConfigError(f"invalid value: {fault}\nin `{key}`")
