"""Splits a text into lines with their endings."""

from typing import Final

ENDINGS: Final = ("\r\n", "\n")


def raw_lines(text: str) -> list[str]:
    r"""Split a text after every `\n` and nowhere else. The joined lines are the text again."""
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def ending(line: str) -> str:
    r"""Return `\r\n`, `\n`, or nothing for a last line that has no ending."""
    return next((end for end in ENDINGS if line.endswith(end)), "")


def bare(line: str) -> str:
    """Return a line without its ending."""
    return line.removesuffix("\n").removesuffix("\r") if line.endswith("\n") else line
