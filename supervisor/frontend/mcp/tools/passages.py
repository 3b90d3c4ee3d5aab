"""Pages of what was said in a conversation, and the cursor that says where a page has ended. Free of I/O."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.protocol.errors import ConfigError
from greenroom.protocol.mcp.arguments import PARSE_PREFIX

if TYPE_CHECKING:
    from greenroom.sessions.records.passage import Passage

MAX_PASSAGE: Final = 8000
"""Characters of one passage; a longer one is cut."""
MAX_PAGE: Final = 200_000
"""Characters of all passages of a page; one passage is told in any case."""

_FORM: Final = re.compile(r"(\d{1,12})\.(\d{1,20})")


class Cursor(NamedTuple):
    """A place in a conversation."""

    passages: int = 0
    """Number of passages before it."""
    questions: int = 0
    """The largest serial number of the questions to the user that were told before it."""

    def __str__(self) -> str:
        return f"{self.passages}.{self.questions}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Return the cursor of a text. Raises `ConfigError`."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ConfigError(f"{PARSE_PREFIX}unknown cursor {text[:100]!r}")
        return cls(int(match[1]), int(match[2]))


class PassagePage(NamedTuple):
    """Some of the passages of a conversation."""

    told: "Sequence[tuple[int, Passage]]"
    begin: int
    """Number of passages before them."""

    @property
    def end(self) -> int:
        """Number of passages before the end of the page."""
        return self.begin + len(self.told)


def last_page(told: "Sequence[tuple[int, Passage]]", most: int) -> PassagePage:
    """Return at most `most` passages from the end."""
    begin, room = len(told), MAX_PAGE
    while begin > max(0, len(told) - most):
        room -= _size(told[begin - 1][1])
        if room < 0 and begin < len(told):
            break
        begin -= 1
    return PassagePage(told[begin:], begin)


def next_page(told: "Sequence[tuple[int, Passage]]", begin: int, most: int) -> PassagePage:
    """Return at most `most` passages from a place on. A conversation that was rolled back may be shorter than that."""
    begin = min(begin, len(told))
    end, room = begin, MAX_PAGE
    while end < min(len(told), begin + most):
        room -= _size(told[end][1])
        if room < 0 and end > begin:
            break
        end += 1
    return PassagePage(told[begin:end], begin)


def _size(passage: "Passage") -> int:
    return min(len(passage.text), MAX_PASSAGE)
