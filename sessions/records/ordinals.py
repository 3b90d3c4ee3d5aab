"""The numbers of the lines of a paginated session file, free of I/O.

`codex exec` and the app-server of later releases write such files. They refuse to resume one whose last line has no
`ordinal`, and to fork one that has a gap.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec


class _Mode(msgspec.Struct, frozen=True):
    history_mode: str = "legacy"


class _First(msgspec.Struct, frozen=True):
    payload: _Mode = _Mode()


class _Line(msgspec.Struct, frozen=True):
    ordinal: int | None = None


def next_ordinal(lines: Iterable[bytes]) -> int | None:
    """Return the ordinal for the line behind these, `None` where the file is of the `legacy` kind.

    Lines that lack their ordinal are counted: earlier writers left them so. What is not JSON is not a line.
    """
    following = iter(lines)
    first = next(following, b"")
    if not _is_paginated(first):
        return None
    ordinal = 0
    for line in chain([first], following):
        try:
            found = msgspec.json.decode(line, type=_Line).ordinal
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
        ordinal = (ordinal if found is None else found) + 1
    return ordinal


def renumbered(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file, those of a paginated one numbered from 0; what is not JSON is left out of that one."""
    following = iter(lines)
    first = next(following, b"")
    if not _is_paginated(first):
        yield first
        yield from following
        return
    ordinal = 0
    for line in chain([first], following):
        try:
            members = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
        members.pop("ordinal", None)
        stamp = {"timestamp": members.pop("timestamp")} if "timestamp" in members else {}
        yield msgspec.json.encode({**stamp, "ordinal": ordinal, **members}) + b"\n"
        ordinal += 1


def _is_paginated(first: bytes) -> bool:
    try:
        return msgspec.json.decode(first, type=_First).payload.history_mode == "paginated"
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
