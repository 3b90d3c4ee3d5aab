"""Reads how long a server asks to wait, in any form. Free of I/O and clocks. All results are in seconds.

Three sources are read: headers, members of an error, and text. A wait is never negative and never longer than
`LONGEST`; a greater number is not a wait.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST: Final = 366 * 86_400.0

_UNITS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_UNIT: Final = (
    r"(?:(?P<ms>ms|msecs?|millis(?:econds?)?|milliseconds?)|(?P<s>s|secs?|seconds?)|(?P<m>m|mins?|minutes?)"
    r"|(?P<h>h|hrs?|hours?)|(?P<d>d|days?))(?![a-z])"
)
_WORDS: Final[Mapping[str, float]] = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
}
_NUMBER: Final = rf"(?:\d{{1,12}}(?:\.\d{{1,12}})?|\.\d{{1,12}}|(?:{'|'.join(_WORDS)})(?![a-z]))"
_PIECE: Final = re.compile(rf"(?P<number>{_NUMBER})[ \t-]*{_UNIT}", re.ASCII | re.IGNORECASE)
_JOINT: Final = re.compile(r"[ \t]*(?:,|and\b|,[ \t]*and\b)?[ \t]*", re.ASCII | re.IGNORECASE)

_REQUEST: Final = re.compile(
    rf"""\b(?:try(?:ing)?|again|retry(?:ing)?|retries|wait(?:ing)?|resets?|available|resumes?|come[ ]back)\b
        (?P<between>[^.!?\n]{{0,80}}?)
        (?:\b(?:in|after|for|within)\b|(?<=wait)|(?<=waiting)|(?<=after)[:=])[ \t]*[:=]?[ \t]*
        (?:(?:about|around|approximately|approx\.?|at[ ]least|another|up[ ]to|the[ ]next|~)[ \t]*)?
        (?P<duration>\d|\.\d|(?:{"|".join(_WORDS)})\b)""",
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
"""The words with which a server asks to wait, up to the duration."""
_PLAIN: Final = re.compile(
    r"retry[ _-]?after\W{0,4}(\d{1,9}(?:\.\d{1,9})?)(?![\w.:]|[ \t-]*[a-z])", re.ASCII | re.IGNORECASE
)
"""A number of seconds without a unit, as in the header of that name."""


def delay_in_words(message: str) -> float | None:
    """Return the seconds that a message asks to wait, `None` if it does not."""
    for match in _REQUEST.finditer(message):
        seconds = _beginning(message, match.start("duration"))
        if seconds is not None:
            return seconds
    plain = _PLAIN.search(message)
    return None if plain is None else _bounded(float(plain[1]))


def duration(text: str) -> float | None:
    """Return the seconds of a text that is only a duration: `12s`, `1m30s`, `500 ms`, `7`."""
    text = text.strip()
    number = _number(text)
    if number is not None:
        return _bounded(number)
    seconds, end = _sum(text, 0)
    return seconds if end == len(text) else None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that the headers ask to wait (RFC 9110, section 10.2.3), `None` if they do not."""
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    milliseconds = _number(lowered.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    value = lowered.get("retry-after")
    if value is None:
        return None
    seconds = duration(value)
    return _until(value, now) if seconds is None else seconds


_RESETS: Final = re.compile(
    r"(?:x-)?(?:anthropic-)?rate-?limit-(?:reset(?P<what>(?:-[a-z]+)?)|(?P<named>[a-z-]+)-reset)", re.ASCII
)
_EPOCH: Final = 1e9
"""A number from here on is a point in time, not a duration."""


def limit_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until the limit that caused a 429 is reset, `None` if no header tells.

    Servers report several limits at once. Those with something remaining are not the cause; of the others the one with
    the longest wait counts. A value is a duration, a number of seconds, or a time in seconds, milliseconds or words.
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    waits = [
        wait
        for name, value in lowered.items()
        if _RESETS.fullmatch(name)
        and lowered.get(name.replace("reset", "remaining"), "0").strip("0.") == ""
        and (wait := _reset(value, now)) is not None
    ]
    return max(waits, default=None)


def _reset(value: str, now: float) -> float | None:
    number = _number(value)
    if number is not None and number >= _EPOCH:
        moment = number / 1000 if number >= _EPOCH * 100 else number
        return _bounded(max(0.0, moment - now))
    seconds = duration(value)
    return _until(value, now) if seconds is None else seconds


def _until(value: str, now: float) -> float | None:
    try:
        return _bounded(max(0.0, parsedate_to_datetime(value).timestamp() - now))
    except (ValueError, OverflowError):
        pass
    try:
        return _bounded(max(0.0, datetime.fromisoformat(value).timestamp() - now))
    except (ValueError, OverflowError):
        return None


def _beginning(text: str, start: int) -> float | None:
    return _sum(text, start)[0]


def _sum(text: str, start: int) -> tuple[float | None, int]:
    """Add the pieces of a duration such as `1 minute and 30 seconds`, each smaller than the one before."""
    total: float | None = None
    end, smallest = start, float("inf")
    position = start
    while piece := _PIECE.match(text, position):
        unit = str(next(name for name in _UNITS if piece[name]))
        if _UNITS[unit] >= smallest:
            break
        smallest = _UNITS[unit]
        total = (total or 0.0) + _value(piece["number"], unit)
        end = piece.end()
        position = _JOINT.match(text, end).end()  # type: ignore[union-attr]  # it matches nothing too
    return (None if total is None else _bounded(total)), end


def _value(number: str, unit: str) -> float:
    value = _WORDS.get(number.lower())
    value = float(number) if value is None else value
    # Fractions of a millisecond are ignored.
    return int(value) / 1000 if unit == "ms" else value * _UNITS[unit]


def _bounded(seconds: float) -> float | None:
    return seconds if 0 <= seconds <= LONGEST else None


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text, re.ASCII):
        return None
    return float(text)
