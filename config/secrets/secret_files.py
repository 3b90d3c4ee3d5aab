"""Which files of a Codex home hold secrets: those whose names say so, and settings in which a secret stands.

A command in the sandbox may read none of them, and neither does Greenroom read one of them for a conversation.
"""

import functools
import os
import re
import stat
from collections import Counter
from typing import Final, NamedTuple

from greenroom.protocol.secret_names import SECRET_NAMES, covers

SETTINGS_NAMES: Final = ("config.toml*", ".config.toml*")
"""The settings, what a program leaves beside them while it writes them, and copies that editors keep. They are hidden
together as soon as a secret stands in any settings."""

_SETTINGS: Final = re.compile(r".*\.toml|\.?config\.toml.*", re.IGNORECASE | re.DOTALL)
"""Entries that are read as settings: the file itself, those of profiles (`NAME.config.toml`), and copies."""
LARGEST_SETTINGS: Final = 1024 * 1024
"""Bytes. Larger settings count as holding a secret, since they are not searched."""


class _Version(NamedTuple):
    """What tells one content of a file from the next."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


class FileIdentity(NamedTuple):
    """What a file is, under whatever name."""

    device: int
    inode: int


class _Entry(NamedTuple):
    """An entry of the home. What is said of a link, its name aside, is so of its goal."""

    name: str
    path: str
    is_link: bool
    identity: FileIdentity
    version: _Version
    links: int
    is_file: bool


class SecretFiles:
    """The secrets of one home, looked up afresh with each question; only unchanged settings are not read again."""

    def __init__(self, home: str) -> None:
        self.home: Final = home
        self._judged: dict[str, tuple[_Version, bool]] = {}

    def names(self) -> tuple[str, ...]:
        """Return entries of the home that hold secrets, besides `SECRET_NAMES`; in the form of these.

        They are settings with a secret in them, and further names (hard links) of a file that is secret.
        """
        return self._names(_entries(self.home))

    def hold(self, path: str, status: os.stat_result) -> bool:
        """Tell whether a file is one of them. `path` is where it is, without links, and `status` what it is."""
        entries = _entries(self.home)
        names = (*SECRET_NAMES, *self._names(entries))
        home = os.path.realpath(self.home)
        if path.startswith(home + os.sep) and covers(names, path[len(home) + 1 :].partition(os.sep)[0]):
            return True
        secret = [entry for entry in entries if covers(names, entry.name)]
        if FileIdentity(status.st_dev, status.st_ino) in {entry.identity for entry in secret}:
            return True
        goals = [os.path.realpath(entry.path) for entry in secret if entry.is_link]
        return path.startswith(tuple(goals))  # also what a writer has beside the goal of a link for a moment

    def aliases_elsewhere(self) -> tuple[str, ...]:
        """Return the secret entries that have names outside of the home too, which cannot be found."""
        entries = _entries(self.home)
        names = (*SECRET_NAMES, *self._names(entries))
        own = [entry for entry in entries if entry.is_file and not entry.is_link]
        count = Counter(entry.identity for entry in own)
        known = {entry.identity: entry.name for entry in own if covers(names, entry.name)}
        known |= {entry.identity: entry.name for entry in own if covers(SECRET_NAMES, entry.name)}
        return tuple(
            sorted({known[one.identity] for one in own if one.identity in known and one.links > count[one.identity]})
        )

    def _names(self, entries: list[_Entry]) -> tuple[str, ...]:
        settings = [entry.name for entry in entries if _SETTINGS.fullmatch(entry.name) and self._holds_secret(entry)]
        common = SETTINGS_NAMES if settings else ()
        names = (*SECRET_NAMES, *common, *settings)
        secret = {entry.identity for entry in entries if covers(names, entry.name)}
        aliases = {entry.name for entry in entries if entry.is_file and entry.identity in secret}
        return (*common, *sorted(name for name in {*settings, *aliases} if not covers((*SECRET_NAMES, *common), name)))

    def _holds_secret(self, entry: _Entry) -> bool:
        known = self._judged.get(entry.name)
        if known is None or known[0] != entry.version:
            known = self._judged[entry.name] = (entry.version, entry.is_file and _read_and_judge(entry.path))
        return known[1]


def _entries(home: str) -> list[_Entry]:
    """Return what is in a home. Links that lead nowhere are left out: there is nothing to read."""
    try:
        with os.scandir(home) as entries:
            return [found for entry in entries if (found := _look(entry)) is not None]
    except OSError:
        return []


def _look(entry: os.DirEntry[str]) -> _Entry | None:
    try:
        facts = os.stat(entry.path)
    except OSError:
        return None
    version = _Version(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
    identity, is_file = FileIdentity(facts.st_dev, facts.st_ino), stat.S_ISREG(facts.st_mode)
    return _Entry(entry.name, entry.path, entry.is_symlink(), identity, version, facts.st_nlink, is_file)


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
    from greenroom.config.secrets.secret_settings import holds_secret  # not needed where commands are only started

    return holds_secret(content)
