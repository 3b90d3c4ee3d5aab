"""A log record as one line of JSON: the schema that docs/status.md describes. Secrets are not masked here."""

import logging
import os
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

import msgspec

MAX_MESSAGE: Final = 8 * 1024
"""Maximum characters of a message; of an exception the last `2 * MAX_MESSAGE` are kept."""

ID_NAMES: Final = ("instance", "worker_id", "conversation_id", "incarnation", "turn_id", "call_id", "request_id")
"""Ids that a record may carry, set by `identify` or by `extra` of the logging call."""
LEFT_OUT: Final = "left_out"
"""Attribute of a record: how many like it were left out before it (`greenroom.runtime.log.repetition`)."""

Ids: TypeAlias = Mapping[str, str | int]

NO_IDS: Final[Ids] = {}
_about: Final[ContextVar[Ids]] = ContextVar("ids of log lines", default=NO_IDS)


@contextmanager
def about(**ids: str | int) -> Iterator[None]:
    """Let the lines of this task, and of tasks that it starts, carry these ids too."""
    token = _about.set({**_about.get(), **ids})
    try:
        yield
    finally:
        _about.reset(token)


def json_line(record: logging.LogRecord, process: str, ids: Ids) -> str:
    """Return the line of a record without its newline. `ids` are those of the process."""
    carried = {name: value for name in ID_NAMES if (value := getattr(record, name, None)) is not None}
    line: dict[str, object] = {
        "time": _timestamp(record.created),
        "level": record.levelname.lower(),
        "process": process,
        "pid": os.getpid(),
        **ids,
        **_about.get(),
        **carried,
        "logger": record.name,
        "message": message_of(record),
    }
    if left_out := getattr(record, LEFT_OUT, 0):
        line[LEFT_OUT] = left_out
    if record.exc_info and record.exc_info[0] is not None:
        line["exception"] = _portable("".join(traceback.format_exception(*record.exc_info))[-2 * MAX_MESSAGE :])
    return msgspec.json.encode(line, enc_hook=str).decode()


def message_of(record: logging.LogRecord) -> str:
    """Return the text of a record, cut off where it is long. Never raises."""
    try:
        text = record.getMessage()
    except Exception as error:  # the arguments of the logging call do not fit its text
        text = f"{record.msg} ({type(error).__name__})"
    return _portable(text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}… ({len(text)} characters)")


def _portable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _timestamp(at: float) -> str:
    milliseconds = int(at % 1 * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at))}.{milliseconds:03}Z"
