"""The bearer token of a home: made once for all runs, readable by its user alone, hidden from commands."""

import os
import re
import stat
from secrets import token_urlsafe
from typing import Final

from greenroom.protocol.errors import ConfigError
from greenroom.protocol.ids import uuid7

NAME: Final = ".http-token"
SIZE: Final = 32
"""Bytes of randomness."""
LONGEST: Final = 4096
"""Characters of a token and what surrounds it."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{32,}=*")


def token_path(home: str) -> str:
    """Return the path of the file."""
    return os.path.join(home, NAME)


def http_token(home: str) -> str:
    """Return the token, created where there is none. Raises `ConfigError` if it is no secret, or cannot be kept."""
    path = token_path(home)
    try:
        return _read(path) or _make(path)
    except OSError as error:
        raise ConfigError(f"the token for HTTP cannot be kept in {path}: {error.strerror or error}") from None


def _read(path: str) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            raise ConfigError(f"{path} must be a file that its user alone can read (mode 0600), owned by you")
        content = file.read(LONGEST + 1)
    token = content.decode("ascii", errors="replace").strip()
    if len(content) > LONGEST or not _TOKEN.fullmatch(token):
        text = f"{path} holds no token of {SIZE} to {LONGEST} letters, digits or -._~+/; remove it to have one made"
        raise ConfigError(text)
    return token


def _make(path: str) -> str:
    """Write a token under a temporary name and link it: of several runs that start at once exactly one wins."""
    token, fresh = token_urlsafe(SIZE), f"{path}.{uuid7()}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
        os.link(fresh, path)
    except FileExistsError:
        return http_token(os.path.dirname(path))
    finally:
        os.unlink(fresh)
    return token
