"""Which files of a Codex home hold secrets: those whose names say so, and settings in which a secret stands.

A command in the sandbox may read none of them, and neither does Greenroom read one of them for a conversation.
"""

import functools
import os
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from greenroom.protocol.secret_names import SECRET_NAMES, covers

SETTINGS_NAMES: Final = ("config.toml*", ".config.toml*")
"""The settings, what a program leaves beside them while it writes them, and copies that editors keep. They are hidden
together as soon as a secret stands in any settings."""

_SETTINGS: Final = re.compile(r".*\.toml|\.?config\.toml.*", re.IGNORECASE | re.DOTALL)
"""Entries that are read as settings: the file itself, those of profiles (`NAME.config.toml`), and copies."""
LARGEST_SETTINGS: Final = 1024 * 1024
"""Bytes. Larger settings count as holding a secret, since nobody looks through them."""


class _Version(NamedTuple):
    """What tells one content of a file from the next."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


class Identity(NamedTuple):
    """What a file is, under whatever name."""

    device: int
    inode: int


class SecretFiles:
    """The secrets of one home, looked up afresh with each question; only unchanged settings are not read again."""

    def __init__(self, home: str) -> None:
        self.home: Final = home
        self._judged: dict[str, tuple[_Version, bool]] = {}

    def names(self) -> tuple[str, ...]:
        """Return entries of the home that hold secrets, besides `SECRET_NAMES`; in the form of these.

        They are settings with a secret in them, and further names (hard links) of a file that is secret.
        """
        entries = list(self._entries())
        settings = [entry.name for entry in entries if _SETTINGS.fullmatch(entry.name) and self._holds_secret(entry)]
        common = SETTINGS_NAMES if settings else ()
        names = (*SECRET_NAMES, *common, *settings)
        secret = {_identity(entry) for entry in entries if covers(names, entry.name)}
        aliases = {entry.name for entry in entries if _is_file(entry) and _identity(entry) in secret}
        return (*common, *sorted(name for name in {*settings, *aliases} if not covers((*SECRET_NAMES, *common), name)))

    def hold(self, path: str, status: os.stat_result) -> bool:
        """Tell whether a file is one of them. `path` is where it is, without links, and `status` what it is."""
        names = (*SECRET_NAMES, *self.names())
        home = os.path.realpath(self.home)
        if path.startswith(home + os.sep) and covers(names, path[len(home) + 1 :].partition(os.sep)[0]):
            return True
        linked = [entry for entry in self._entries() if covers(names, entry.name)]
        if Identity(status.st_dev, status.st_ino) in {_identity(entry) for entry in linked}:
            return True
        goals = [os.path.realpath(entry.path) for entry in linked if entry.is_symlink()]
        return path.startswith(tuple(goals))  # also what a writer has beside the goal of a link for a moment

    def aliases_elsewhere(self) -> tuple[str, ...]:
        """Return the secret entries that have names outside of the home too, which nobody can find."""
        secret = (*SECRET_NAMES, *self.names())
        files: dict[Identity | None, list[os.DirEntry[str]]] = {}
        for entry in self._entries():
            if _is_file(entry) and not entry.is_symlink():
                files.setdefault(_identity(entry), []).append(entry)
        return tuple(
            sorted(
                min(names, key=lambda entry: not covers(SECRET_NAMES, entry.name)).name
                for names in files.values()
                if covers(secret, names[0].name) and _links(names[0]) > len(names)
            )
        )

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self.home) as entries:
                yield from entries
        except OSError:
            return

    def _holds_secret(self, entry: os.DirEntry[str]) -> bool:
        try:
            status = os.stat(entry.path)
        except OSError:
            return False
        version = _Version(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._judged.get(entry.name)
        if known is None or known[0] != version:
            known = self._judged[entry.name] = (version, _is_file(entry) and _read_and_judge(entry.path))
        return known[1]


@functools.lru_cache(maxsize=8)
def secrets_of(home: str) -> SecretFiles:
    """Return what this process knows of the secrets of a home."""
    return SecretFiles(home)


def _read_and_judge(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_SETTINGS + 1)
    except OSError:
        return False  # what we cannot read, a command of the same user cannot either
    if len(content) > LARGEST_SETTINGS:
        return True
    from greenroom.config.secret_settings import holds_secret  # not for those who only start commands

    return holds_secret(content)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _links(entry: os.DirEntry[str]) -> int:
    try:
        return os.stat(entry.path).st_nlink
    except OSError:  # it has just been replaced
        return 0


def _identity(entry: os.DirEntry[str]) -> Identity | None:
    """Return what an entry, or the goal of one that is a link, is."""
    try:
        status = os.stat(entry.path)
    except OSError:
        return None
    return Identity(status.st_dev, status.st_ino)
