"""Texts of a conversation as the page shows them: they can neither control nor hide anything. Free of I/O."""

from typing import Final

from greenroom.protocol.display import clean_lines

LONGEST: Final = 20_000
"""Characters of a passage. The middle of a longer one is left out, or its beginning while it grows."""
PIECE: Final = 4096
"""Characters of an unfinished line after which its beginning counts as finished."""
MISSING: Final = "… "
"""The beginning of a text whose beginning is not known."""


def shown_passage(text: str) -> str:
    """Return a text, at most `LONGEST` characters of it and a note."""
    if len(text) > LONGEST:
        half = LONGEST // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters are left out …\n{text[-half:]}"
    return "\n".join(clean_lines(text.expandtabs(4))).strip("\n")


class GrowingText:
    """A text that comes in pieces. Each piece costs about its own length."""

    def __init__(self, *, is_partial: bool = False) -> None:
        """`is_partial`: its beginning is not known."""
        self._finished = MISSING if is_partial else ""
        """Its lines but for the last one, as they are shown."""
        self._line = ""
        """The last line as it has come."""

    def grow(self, piece: str) -> None:
        """Add a piece."""
        *lines, self._line = (self._line + piece).split("\n")
        self._finished += "".join(f"{_line(line)}\n" for line in lines)
        if len(self._line) > PIECE:
            self._finished, self._line = self._finished + _line(self._line), ""
        if len(self._finished) > 2 * LONGEST:
            self._finished = MISSING + self._finished[-LONGEST:]

    @property
    def shown(self) -> str:
        """What is shown of it: at most some `2 * LONGEST` characters, the last ones."""
        return (self._finished + _line(self._line)).strip("\n")


def _line(line: str) -> str:
    return "\n".join(clean_lines(line.expandtabs(4)))
