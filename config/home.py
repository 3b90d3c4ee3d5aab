"""Finds the Codex home, and loads the variables of its `.env`.

Imported first, so it imports nothing that a start without `.env` and errors can do without.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from greenroom.protocol.errors import ConfigError

PROTECTED_PREFIX = "CODEX_"
"""Variables with this prefix control Greenroom itself, so a file may not set them."""


def codex_home(environment: "Mapping[str, str]") -> str:
    """Return the absolute path of the Codex home.

    If `CODEX_HOME` is set and not empty, it must be an existing directory, and its symbolic links are resolved.
    Otherwise it is `~/.codex`, which need not exist. Raises `ConfigError`.
    """
    chosen = environment.get("CODEX_HOME", "")
    if not chosen:
        return os.path.join(user_home(environment), ".codex")
    try:
        home = os.path.realpath(chosen, strict=True)
    except (OSError, ValueError) as error:
        from greenroom.config.reason import reason

        raise _error(f"CODEX_HOME is {chosen!r}, which cannot be used: {reason(error)}") from error
    if not os.path.isdir(home):
        raise _error(f"CODEX_HOME is {chosen!r}, which is not a directory")
    return home


def home_name(environment: "Mapping[str, str]") -> str:
    """Return the absolute path by which a server finds the Codex home, with links unresolved; empty if there is
    none."""
    from greenroom.protocol.errors import ConfigError

    chosen = environment.get("CODEX_HOME", "")
    try:
        return os.path.abspath(chosen) if chosen else os.path.join(user_home(environment), ".codex")
    except (ConfigError, OSError):
        return ""


def load_dotenv(home: str, environment: "Mapping[str, str]") -> dict[str, str]:
    """Return a copy of the environment in which the entries of the home's `.env` replace existing variables.

    Values are taken literally, including `${NAME}`. No other `.env` is read: a cloned repository must not choose the
    key or the endpoint. Raises `ConfigError` if the file cannot be read.
    """
    merged = dict(environment)
    path = os.path.join(home, ".env")
    if os.path.lexists(path):
        merged.update(_entries(path))
    return merged


def _entries(path: str) -> dict[str, str]:
    from io import StringIO

    from dotenv import dotenv_values

    from greenroom.config.encoding import decode_text
    from greenroom.config.reason import reason

    try:
        with open(path, "rb") as stream:
            text = decode_text(stream.read())
        values = dotenv_values(stream=StringIO(text), interpolate=False)
    except (OSError, ValueError) as error:
        raise _error(f"failed to read {path}: {reason(error)}") from error
    return {
        name: value
        for name, value in values.items()
        if value is not None and not name.upper().startswith(PROTECTED_PREFIX)
    }


def user_home(environment: "Mapping[str, str]") -> str:
    """Return the absolute path of the user's home directory. Raises `ConfigError` if it cannot be found."""
    home = environment.get("HOME", "")
    if home:
        return os.path.abspath(home)
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise _error("Could not find home directory; set HOME or CODEX_HOME") from None


def _error(text: str) -> "ConfigError":
    from greenroom.protocol.errors import ConfigError  # not needed by a start that succeeds

    return ConfigError(text)
