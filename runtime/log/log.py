"""The log of every process: standard error, one record per line, with secrets masked as the last step.

Lines are text, or JSON (`greenroom.runtime.log.logline`) where the environment says so. Where standard error leads to
the journal of systemd, each line begins with its priority. What repeats itself is left out after a while.
"""

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final

from greenroom.protocol.choices import LogFormat
from greenroom.runtime.log.log_format import format_in
from greenroom.runtime.log.logline import LEFT_OUT, NO_IDS, Ids, json_line, message_of
from greenroom.runtime.log.repetition import RepetitionLimit

MOST_OF_TEXT: Final = 10
"""Records with the same text and ids that are logged in `TEXT_PERIOD` seconds."""
TEXT_PERIOD: Final = 60.0
MOST_OF_PLACE: Final = 200
"""Records of the same place in the code that are logged in `PLACE_PERIOD` seconds, whatever their texts."""
PLACE_PERIOD: Final = 10.0

_SECRETS = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]+|sk-[\w-]{8,}|rt[_.-][\w.-]{16,}|at-[\w-]{16,}|(?<=[Bb]earer )[\w.~+/=-]{8,}"
)
MASK = "<redacted>"
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Levels, and their priorities in the words of syslog(3); what is below has 7."""
_IS_ADMITTED: Final = "_greenroom_is_admitted"
"""Attribute of a record: whether it was admitted, decided once for all handlers."""


def redact(text: str) -> str:
    """Mask everything that looks like a token or key."""
    return _SECRETS.sub(MASK, text)


def priority(level: int) -> int:
    """Return the priority of a level, from 0 (the worst) to 7 (syslog(3))."""
    return next((number for least, number in _PRIORITIES if level >= least), 7)


def leads_to_journal(environment: Mapping[str, str], descriptor: int) -> bool:
    """Tell whether a descriptor is the stream to the journal that systemd has connected (systemd.exec(5))."""
    try:
        facts = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{facts.st_dev}:{facts.st_ino}"


class _RedactingFormatter(logging.Formatter):
    process = "greenroom"
    form: LogFormat = "text"
    ids: Ids = NO_IDS
    in_journal = False

    def format(self, record: logging.LogRecord) -> str:
        if self.form == "json":
            text = redact(json_line(record, self.process.partition(" ")[0], self.ids))
        else:
            left_out = getattr(record, LEFT_OUT, 0)
            more = f" ({left_out} like this were left out before it)" if left_out else ""
            text = redact(f"{self.process} {super().format(record)}{more}")
        if not self.in_journal:
            return text
        return "\n".join(f"<{priority(record.levelno)}>{line}" for line in text.split("\n"))


class RepetitionFilter(logging.Filter):
    """Leaves out what repeats itself. One object serves all handlers of a process."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: RepetitionLimit[tuple[object, ...]] = RepetitionLimit(MOST_OF_TEXT, TEXT_PERIOD)
        self._places: RepetitionLimit[tuple[object, ...]] = RepetitionLimit(MOST_OF_PLACE, PLACE_PERIOD)
        self._turn = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is logged; `LEFT_OUT` of it says how many like it were not."""
        known: bool | None = getattr(record, _IS_ADMITTED, None)
        if known is None:
            known = self._is_admitted(record, time.monotonic())
            setattr(record, _IS_ADMITTED, known)
        return known

    def _is_admitted(self, record: logging.LogRecord, now: float) -> bool:
        place = (record.name, record.levelno, record.pathname, record.lineno)
        about = (getattr(record, "conversation_id", None), getattr(record, "worker_id", None))
        with self._turn:
            of_place = self._places.admit(place, now)
            of_text = None if of_place is None else self._texts.admit((*place, *about, message_of(record)), now)
            ended = [*self._places.ended(now), *self._texts.ended(now)]
        for key, left_out in ended:
            _tell(key, left_out)
        if of_place is None or of_text is None:
            return False
        if of_place or of_text:
            setattr(record, LEFT_OUT, of_place + of_text)
        return True


def _tell(key: tuple[object, ...], left_out: int) -> None:
    """Log how many records of a key were left out in a period that is over."""
    name, level, path, line, *rest = key
    text = f"{left_out} more were left out of: {rest[-1] if rest else 'records of one place, with different texts'}"
    record = logging.LogRecord(str(name), int(str(level)), str(path), int(str(line)), text, (), None)
    setattr(record, _IS_ADMITTED, True)
    setattr(record, LEFT_OUT, left_out)
    logging.getLogger().handle(record)


# Compiled once, at import, so that the children of a fork server share them.
_formatter = _RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
_handler = logging.StreamHandler(sys.stderr)
_handler.setFormatter(_formatter)
repetition = RepetitionFilter()
"""The filter of this process."""
_handler.addFilter(repetition)


def set_up(process: str, level: str, form: LogFormat | None = None) -> None:
    """Log to standard error from `level` on; each line names the process.

    `form`: that of the lines; `None` for the one that the environment names.
    """
    _formatter.process = process
    _formatter.form = form or format_in(os.environ)
    _formatter.in_journal = leads_to_journal(os.environ, 2)
    root = logging.getLogger()
    if _handler not in root.handlers:
        root.handlers[:] = [_handler]
    _handler.setLevel(level.upper())
    adapt_level()


def adapt_level() -> None:
    """Let loggers make the records that some handler wants, and no others.

    Each new level writes to every logger, also where it is the old one, and in a forked process to the pages of all.
    """
    root = logging.getLogger()
    lowest = min(handler.level for handler in root.handlers)
    if root.level != lowest:
        root.setLevel(lowest)


def carry(ids: Ids) -> None:
    """Let every later line of JSON carry these ids, and no others."""
    _formatter.ids = dict(ids)
