r"""Formats the difference between two texts as unified hunks for `git apply`.

Only `\n` ends a line; a missing newline at the end of a text is marked, a carriage return is part of its line.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from greenroom.workers.patch.alignment import Span, spans
from greenroom.workers.patch.lines import raw_lines

NO_NEWLINE: Final = "\\ No newline at end of file\n"


def unified(old: str, new: str, context: int) -> str:
    """Return the hunks that turn `old` into `new`, without file headers; empty if the texts are equal.

    `context` is the number of unchanged lines shown around a change.
    """
    old_lines, new_lines = raw_lines(old), raw_lines(new)
    groups = _near(spans(old_lines, new_lines), 2 * context)
    return "".join(_hunk(old_lines, new_lines, group, context) for group in groups)


def _near(changes: Sequence[Span], distance: int) -> Iterator[list[Span]]:
    """Group changes that are at most `distance` lines apart."""
    group: list[Span] = []
    for change in changes:
        if group and change.old_start - group[-1].old_end > distance:
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _hunk(old: Sequence[str], new: Sequence[str], group: list[Span], context: int) -> str:
    first, last = group[0], group[-1]
    above = min(context, first.old_start)
    below = min(context, len(old) - last.old_end)
    at = first.old_start - above
    shown = [
        f"@@ -{_range(at, last.old_end + below)} +{_range(first.new_start - above, last.new_end + below)} @@\n",
    ]
    for change in group:
        shown += _marked(" ", old[at : change.old_start])
        shown += _marked("-", old[change.old_start : change.old_end])
        shown += _marked("+", new[change.new_start : change.new_end])
        at = change.old_end
    shown += _marked(" ", old[at : at + below])
    return "".join(shown)


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    return (mark + line if line.endswith("\n") else f"{mark}{line}\n{NO_NEWLINE}" for line in lines)


def _range(start: int, end: int) -> str:
    """Format a range as in unified diffs: from 1, a single line without its count, an empty range by the line
    before."""
    size = end - start
    if size == 1:
        return str(end)
    return f"{start + 1 if size else start},{size}"
