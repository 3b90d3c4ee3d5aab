"""Parses the patch language of the tool `apply_patch`. A line that cannot be parsed is an error, never skipped.

It is lenient where the meaning is clear: a text wrapped in a here-document, indented section headers, blank lines
between sections, empty lines for empty context lines, stacked `@@` headers, and a move without chunks.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.workers.patch.errors import PatchSyntaxError

BEGIN: Final = "*** Begin Patch"
END: Final = "*** End Patch"
ADD: Final = "*** Add File: "
DELETE: Final = "*** Delete File: "
UPDATE: Final = "*** Update File: "
MOVE: Final = "*** Move to: "
END_OF_FILE: Final = "*** End of File"
HEADER: Final = "@@"

_HEREDOC_OPENINGS: Final = frozenset({"<<EOF", "<<'EOF'", '<<"EOF"'})
_SECTION_FORMS: Final = ", ".join(f"'{prefix}{{path}}'" for prefix in (ADD, DELETE, UPDATE))

Mark: TypeAlias = Literal[" ", "+", "-"]
_MARKS: Final[Mapping[str, Mark]] = {" ": " ", "+": "+", "-": "-"}
MarkedLine: TypeAlias = tuple[Mark, str]
"""A line of a chunk: kept, added or removed, and its text."""


class Chunk(msgspec.Struct, frozen=True):
    """One change of a file: its position, and its lines."""

    headers: tuple[str, ...]
    """Lines of the file to find first, in order; the chunk is below the last."""
    lines: tuple[MarkedLine, ...]
    at_end: bool
    """Its lines are the last of the file."""
    number: int
    """The line number in the patch where it begins."""


class AddFile(msgspec.Struct, frozen=True):
    path: str
    content: str


class DeleteFile(msgspec.Struct, frozen=True):
    path: str


class UpdateFile(msgspec.Struct, frozen=True):
    path: str
    move_to: str | None
    chunks: tuple[Chunk, ...]
    """None only for a move without changes."""


PatchSection: TypeAlias = AddFile | DeleteFile | UpdateFile


class Patch(msgspec.Struct, frozen=True):
    sections: tuple[PatchSection, ...]
    """In the order written. An empty patch is well-formed; it is rejected elsewhere."""
    text: str
    """The patch without any wrapping."""


def parse_patch(text: str) -> Patch:
    """Parse a patch. Raises only `PatchSyntaxError`, whatever the text."""
    lines = _unwrapped([line.removesuffix("\r") for line in text.strip().split("\n")])
    normal = "\n".join(lines)
    _refuse_half_characters(normal)
    return Patch(tuple(_sections(_Body(lines[1:-1]))), normal)


def _unwrapped(lines: list[str]) -> list[str]:
    fault = _boundary_fault(lines)
    if fault and len(lines) >= 4 and lines[0] in _HEREDOC_OPENINGS and lines[-1].strip() == "EOF":
        lines = lines[1:-1]
        fault = _boundary_fault(lines)
    if fault:
        raise PatchSyntaxError(fault)
    return lines


def _boundary_fault(lines: list[str]) -> str | None:
    if lines != [""] and lines[0].rstrip() != BEGIN:
        return f"The first line of the patch must be '{BEGIN}'"
    if lines[-1].rstrip() != END:
        return f"The last line of the patch must be '{END}'"
    return None


def _refuse_half_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        number = text.count("\n", 0, error.start) + 1
        raise PatchSyntaxError("There is half of a surrogate pair, which no file can hold", number) from None


class _Body:
    """The lines between the boundaries, consumed one by one."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0

    @property
    def next(self) -> str | None:
        return self._lines[self._at] if self._at < len(self._lines) else None

    @property
    def number(self) -> int:
        """The line number of the next line in the patch."""
        return self._at + 2

    def take(self) -> str:
        self._at += 1
        return self._lines[self._at - 1]

    def take_while(self, wanted: Callable[[str], bool]) -> Iterator[str]:
        while self.next is not None and wanted(self.next):
            yield self.take()

    def skip_blank(self) -> None:
        for _ in self.take_while(_is_blank):
            pass


def _is_blank(line: str) -> bool:
    return not line.strip()


def _sections(body: _Body) -> Iterator[PatchSection]:
    body.skip_blank()
    while body.next is not None:
        number = body.number
        header = body.take().strip()
        prefix = next((prefix for prefix in _READERS if header.startswith(prefix)), None)
        if prefix is None:
            fault = f"'{header}' is not a valid hunk header. Valid hunk headers: {_SECTION_FORMS}"
            raise PatchSyntaxError(fault, number)
        yield _READERS[prefix](body, header.removeprefix(prefix))
        body.skip_blank()


def _add(body: _Body, path: str) -> AddFile:
    content = "".join(line[1:] + "\n" for line in body.take_while(lambda line: line.startswith("+")))
    gap = body.number
    body.skip_blank()
    if body.next is not None and body.next.startswith("+"):
        raise PatchSyntaxError("Every line of an added file should start with '+', an empty one too", gap)
    return AddFile(path, content)


def _delete(_body: _Body, path: str) -> DeleteFile:
    return DeleteFile(path)


def _update(body: _Body, path: str) -> UpdateFile:
    number = body.number - 1
    move_to = body.take()[len(MOVE) :].rstrip() if (body.next or "").startswith(MOVE) else None
    if move_to == "":
        raise PatchSyntaxError(f"'{MOVE}' names no path", body.number - 1)
    chunks = tuple(_chunks(body))
    if not chunks and move_to is None:
        raise PatchSyntaxError(f"Update file hunk for path '{path}' is empty", number)
    return UpdateFile(path, move_to, chunks)


_READERS: Final[Mapping[str, Callable[[_Body, str], PatchSection]]] = {ADD: _add, DELETE: _delete, UPDATE: _update}


def _chunks(body: _Body) -> Iterator[Chunk]:
    body.skip_blank()
    needs_header = False
    while body.next is not None and not body.next.startswith("***"):
        yield _chunk(body, needs_header)
        needs_header = True
        body.skip_blank()


def _chunk(body: _Body, needs_header: bool) -> Chunk:
    number = body.number
    headers = list(body.take_while(_is_header))
    if needs_header and not headers:
        raise PatchSyntaxError(f"Expected update hunk to start with a @@ context marker, got: '{body.next}'", number)
    lines = tuple(_marked(line) for line in body.take_while(_is_marked))
    if not lines:
        raise PatchSyntaxError(_no_lines(body.next), body.number)
    at_end = (body.next or "").rstrip() == END_OF_FILE
    if at_end:
        body.take()
    named = tuple(header[len(HEADER) + 1 :] for header in headers if header.rstrip() != HEADER)
    return Chunk(named, lines, at_end, number)


def _is_header(line: str) -> bool:
    return line == HEADER or line.startswith(HEADER + " ")


def _is_marked(line: str) -> bool:
    return not line or line[0] in _MARKS


def _marked(line: str) -> MarkedLine:
    return (_MARKS[line[0]], line[1:]) if line else (" ", "")


def _no_lines(found: str | None) -> str:
    if found is None or found.startswith("***"):
        return "Update hunk does not contain any lines"
    return (
        f"Unexpected line found in update hunk: '{found}'. Every line should start with ' ' (context line), "
        "'+' (added line), or '-' (removed line)"
    )
