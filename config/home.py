"""Where the Codex home is, and the variables that its `.env` adds to the environment."""

import os
from collections.abc import Mapping
from io import StringIO
from typing import Final

from greenroom.config.encoding import decoded
from greenroom.config.reason import reason
from greenroom.protocol.errors import ConfigError

PROTECTED_PREFIX: Final = "CODEX_"
"""Variables of this prefix steer the program itself, so that a file may not set them."""


def codex_home(environment: Mapping[str, str]) -> str:
    """Return the absolute path of the Codex home.

    `CODEX_HOME`, where set and not empty, must name an existing directory, and its symbolic links are resolved;
    otherwise it is `~/.codex`, which need not exist. Raises `ConfigError`.
    """
    chosen = environment.get("CODEX_HOME", "")
    if not chosen:
        return os.path.join(user_home(environment), ".codex")
    try:
        home = os.path.realpath(chosen, strict=True)
    except (OSError, ValueError) as error:
        raise ConfigError(f"CODEX_HOME is {chosen!r}, which cannot be used: {reason(error)}") from error
    if not os.path.isdir(home):
        raise ConfigError(f"CODEX_HOME is {chosen!r}, which is not a directory")
    return home


def home_name(environment: Mapping[str, str]) -> str:
    """Return the absolute path by which a server looks for the Codex home, with its links; empty for no such path."""
    chosen = environment.get("CODEX_HOME", "")
    try:
        return os.path.abspath(chosen) if chosen else os.path.join(user_home(environment), ".codex")
    except (ConfigError, OSError):
        return ""


def load_dotenv(home: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of the environment in which the entries of the home's `.env` replace what was there.

    Values are taken as they stand, `${NAME}` included. No other `.env` is read: a cloned repository must not choose the
    key or the endpoint. Raises `ConfigError` where the file cannot be read.
    """
    merged = dict(environment)
    path = os.path.join(home, ".env")
    if os.path.lexists(path):
        merged.update(_entries(path))
    return merged


def _entries(path: str) -> dict[str, str]:
    from dotenv import dotenv_values

    try:
        with open(path, "rb") as stream:
            text = decoded(stream.read())
        values = dotenv_values(stream=StringIO(text), interpolate=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"failed to read {path}: {reason(error)}") from error
    return {
        name: value
        for name, value in values.items()
        if value is not None and not name.upper().startswith(PROTECTED_PREFIX)
    }


def user_home(environment: Mapping[str, str]) -> str:
    """Return the absolute path of the user's own directory. Raises `ConfigError` where nothing tells it."""
    home = environment.get("HOME", "")
    if home:
        return os.path.abspath(home)
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise ConfigError("Could not find home directory; set HOME or CODEX_HOME") from None
