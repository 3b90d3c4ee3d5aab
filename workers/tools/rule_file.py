"""Keeps a rule that the user has made with an answer: a line of a file of the home, which later conversations read."""

import errno
import os
import stat
from collections.abc import Sequence
from typing import Final

import msgspec

from greenroom.config.rules.rules_files import FOLDER
from greenroom.config.rules.rules_language import MAX_BYTES

FILE: Final = "default.rules"
"""The file in which Codex keeps such rules too."""


def keep_rule(home: str, words: Sequence[str]) -> None:
    """Add a rule that allows commands which begin with these words. Raises `OSError`.

    The file itself is no link, and what is written is one line by one write, so that several programs can add
    some.
    """
    folder = os.path.join(home, FOLDER)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    line = rule_line(words).encode()
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(os.path.join(folder, FILE), flags, 0o600)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        size = facts.st_size
        if size + len(line) + 1 > MAX_BYTES:
            raise OSError(errno.EFBIG, f"it would have more than {MAX_BYTES} bytes")
        is_complete = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
        os.write(descriptor, line if is_complete else b"\n" + line)
    finally:
        os.close(descriptor)


def rule_line(words: Sequence[str]) -> str:
    """Return a rule as a line of a file."""
    pattern = msgspec.json.format(msgspec.json.encode(list(words)), indent=0).decode()
    return f'prefix_rule(pattern={pattern}, decision="allow")\n'
