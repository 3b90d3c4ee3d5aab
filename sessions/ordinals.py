"""The numbers of the lines of a paginated session file, free of I/O.

`codex exec` and the app-server of later releases write such files. They refuse to resume one whose last line has no
`ordinal`, and to fork one that has a gap.
"""

from collections.abc import Iterable

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
    ordinal: int | None = None
    for line in lines:
        try:
            if ordinal is None:
                if msgspec.json.decode(line, type=_First).payload.history_mode != "paginated":
                    return None
                ordinal = 0
            found = msgspec.json.decode(line, type=_Line).ordinal
        except (msgspec.MsgspecError, UnicodeError):
            continue
        ordinal = (ordinal if found is None else found) + 1
    return ordinal
