"""Figures as people read them: ages, sizes, counts and ids, each in a few characters."""

from typing import Final

SHORT_ID: Final = 12
"""Characters of an id that tables show: the last ones, because ids made at the same time begin alike."""

_UNITS: Final = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s"))
_SIZES: Final = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "k"))
_COUNTS: Final = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def age(seconds: float) -> str:
    """Return a span of time as its two largest units, such as `7s`, `3m20s`, `2h05m` and `5d03h`."""
    whole = max(0, int(seconds))
    for large, name, small, rest_name in _UNITS:
        if whole >= large:
            return f"{whole // large}{name}{whole % large // small:02}{rest_name}"
    return f"{whole}s"


def latency(seconds: float) -> str:
    """Return a duration such as `0.35s`, `2.4s` and `1m10s`."""
    return age(seconds) if seconds >= 60 else f"{seconds:.1f}s" if seconds >= 1 else f"{seconds:.2f}s"


def size(count: int) -> str:
    """Return bytes in three digits or so, such as `812`, `9.5k` and `31M`; a `k` is 1024."""
    return _scaled(count, _SIZES)


def amount(count: int) -> str:
    """Return a count in three digits or so, such as `812`, `9.5k` and `31M`; a `k` is 1000."""
    return _scaled(count, _COUNTS)


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun, such as `1 call` and `2 calls`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def short_id(conversation_id: str) -> str:
    """Return the end of an id."""
    return conversation_id[-SHORT_ID:]


def _scaled(count: int, units: tuple[tuple[int, str], ...]) -> str:
    for unit, name in units:
        if abs(count) >= unit:
            value = count / unit
            return f"{value:.0f}{name}" if abs(value) >= 9.95 else f"{value:.1f}{name}"
    return str(count)
