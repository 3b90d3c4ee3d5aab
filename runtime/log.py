"""Where every process of ours logs: standard error, one line a record, with secrets masked at the very end."""

import logging
import re
import sys

_SECRETS = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]+|sk-[\w-]{8,}|rt[_.-][\w.-]{16,}|at-[\w-]{16,}|(?<=[Bb]earer )[\w.~+/=-]{8,}"
)
MASK = "<redacted>"


def redact(text: str) -> str:
    """Mask everything that looks like a token or key (spec/auth 7.12)."""
    return _SECRETS.sub(MASK, text)


class _RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up(process: str, level: str) -> None:
    """Log to standard error from `level` on, each line naming the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter(f"%(asctime)s {process} %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
