"""The log of every process: standard error, one record per line, with secrets masked as the last step."""

import logging
import re
import sys

_SECRETS = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]+|sk-[\w-]{8,}|rt[_.-][\w.-]{16,}|at-[\w-]{16,}|(?<=[Bb]earer )[\w.~+/=-]{8,}"
)
MASK = "<redacted>"


def redact(text: str) -> str:
    """Mask everything that looks like a token or key."""
    return _SECRETS.sub(MASK, text)


class _RedactingFormatter(logging.Formatter):
    process = "greenroom"

    def format(self, record: logging.LogRecord) -> str:
        return redact(f"{self.process} {super().format(record)}")


# Compiled once, at import, so that the children of a fork server share them.
_formatter = _RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
_handler = logging.StreamHandler(sys.stderr)
_handler.setFormatter(_formatter)


def set_up(process: str, level: str) -> None:
    """Log to standard error from `level` on; each line names the process."""
    _formatter.process = process
    root = logging.getLogger()
    if root.handlers != [_handler]:
        root.handlers[:] = [_handler]
    number = logging.getLevelNamesMapping()[level.upper()]
    if root.level != number:
        root.setLevel(number)
