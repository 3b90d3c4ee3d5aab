"""What the patch language accepts, and what it says of everything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.patch.errors import PatchError, PatchSyntaxError
from greenroom.workers.patch.language import AddFile, Chunk, DeleteFile, Patch, PatchSection, UpdateFile, parse_patch

HEADERS = "'*** Add File: {path}', '*** Delete File: {path}', '*** Update File: {path}'"


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


def sections(*lines: str) -> tuple[PatchSection, ...]:
    return parse_patch(patch(*lines)).sections


def chunks(*lines: str) -> tuple[Chunk, ...]:
    [section] = sections("*** Update File: f", *lines)
    assert isinstance(section, UpdateFile)
    return section.chunks


def test_every_kind_of_section_is_read_in_order() -> None:
    assert sections(
        "*** Add File: a/new.txt",
        "+one",
        "+",
        "+  two",
        "*** Delete File: gone.txt",
        "*** Update File: old.txt",
        "*** Move to: b/old.txt",
        "@@ def f():",
        " kept",
        "-lost",
        "+got",
        "*** End of File",
    ) == (
        AddFile("a/new.txt", "one\n\n  two\n"),
        DeleteFile("gone.txt"),
        UpdateFile(
            "old.txt",
            "b/old.txt",
            (Chunk(("def f():",), ((" ", "kept"), ("-", "lost"), ("+", "got")), at_end=True, number=9),),
        ),
    )


def test_a_patch_may_have_no_sections() -> None:
    assert sections() == ()


def test_a_file_may_be_added_empty() -> None:
    assert sections("*** Add File: empty") == (AddFile("empty", ""),)


def test_an_update_may_be_followed_by_an_add() -> None:
    assert [type(section) for section in sections("*** Update File: f", "@@", "+x", "*** Add File: g", "+y")] == [
        UpdateFile,
        AddFile,
    ]


def test_the_first_chunk_needs_no_header() -> None:
    assert chunks(" a", "+b") == (Chunk((), ((" ", "a"), ("+", "b")), at_end=False, number=3),)


def test_headers_may_be_stacked() -> None:
    [chunk] = chunks("@@ class A:", "@@     def f(self):", "-x")
    assert chunk.headers == ("class A:", "    def f(self):")


@pytest.mark.parametrize("header", ["@@", "@@ ", "@@   "])
def test_a_header_may_say_nothing(header: str) -> None:
    assert chunks(header, "-x")[0].headers == ()


def test_an_empty_line_in_a_chunk_is_an_empty_context_line() -> None:
    assert chunks("@@", "-a", "", "+b")[0].lines == (("-", "a"), (" ", ""), ("+", "b"))


def test_blank_lines_between_sections_and_behind_the_end_of_a_file_do_not_matter() -> None:
    assert sections("", "*** Add File: a", "+x", "", "*** Delete File: b", "  ") == (
        AddFile("a", "x\n"),
        DeleteFile("b"),
    )
    assert len(chunks("@@", "-a", "*** End of File", "", "@@", "-b")) == 2


def test_section_headers_may_be_indented() -> None:
    assert sections("  *** Delete File: a b.txt  ") == (DeleteFile("a b.txt"),)


def test_what_looks_like_a_section_is_a_line_where_it_is_marked() -> None:
    assert chunks("@@", " *** Delete File: x", "+*** End Patch")[0].lines == (
        (" ", "*** Delete File: x"),
        ("+", "*** End Patch"),
    )


def test_a_mere_move_needs_no_chunk() -> None:
    assert sections("*** Update File: a", "*** Move to: b") == (UpdateFile("a", "b", ()),)


def test_a_patch_may_have_carriage_returns_and_space_around_it() -> None:
    text = "\n  " + patch("*** Add File: a", "+x").replace("\n", "\r\n") + "\r\n\n"
    assert parse_patch(text).sections == (AddFile("a", "x\n"),)


@pytest.mark.parametrize("opening", ["<<EOF", "<<'EOF'", '<<"EOF"'])
def test_a_here_document_around_the_patch_is_taken_off(opening: str) -> None:
    inner = patch("*** Delete File: a")
    assert parse_patch(f"{opening}\n{inner}\nEOF\n") == Patch((DeleteFile("a"),), inner)


@pytest.mark.parametrize(
    "wrapped",
    [
        f"<<\"EOF'\n{patch()}\nEOF",
        f"<<EOF\n{patch()}\nEO",
        f"<<EOF\n{patch()}\nrm -r x EOF",
        f"<<END\n{patch()}\nEND",
    ],
)
def test_any_other_wrapping_is_an_error(wrapped: str) -> None:
    with pytest.raises(PatchSyntaxError, match=r"^invalid patch: The first line of the patch must be"):
        parse_patch(wrapped)


def test_inside_a_here_document_the_error_is_that_of_the_inner_text() -> None:
    with pytest.raises(PatchSyntaxError, match=r"^invalid patch: The last line of the patch must be"):
        parse_patch("<<EOF\n*** Begin Patch\n*** Delete File: a\nEOF")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "The last line of the patch must be '*** End Patch'"),
        ("bad", None, "The first line of the patch must be '*** Begin Patch'"),
        ("*** Begin Patch\nbad", None, "The last line of the patch must be '*** End Patch'"),
        (patch("+x"), 2, f"'+x' is not a valid hunk header. Valid hunk headers: {HEADERS}"),
        (patch("*** Add File: "), 2, f"'*** Add File:' is not a valid hunk header. Valid hunk headers: {HEADERS}"),
        (patch("*** Delete File: a", "+x"), 3, f"'+x' is not a valid hunk header. Valid hunk headers: {HEADERS}"),
        (patch("*** End Patch"), 2, f"'*** End Patch' is not a valid hunk header. Valid hunk headers: {HEADERS}"),
        (patch("*** Update File: a"), 2, "Update file hunk for path 'a' is empty"),
        (patch("*** Update File: a", "*** Move to: ", "@@", "-x"), 3, "'*** Move to: ' names no path"),
        (
            patch("*** Update File: a", "-x", "*** End of File", "-y"),
            5,
            "Expected update hunk to start with a @@ context marker, got: '-y'",
        ),
        (
            patch("*** Update File: a", "-x", "y"),
            4,
            "Expected update hunk to start with a @@ context marker, got: 'y'",
        ),
        (patch("*** Update File: a", "@@ f"), 4, "Update hunk does not contain any lines"),
        (patch("*** Update File: a", "@@", "*** End of File"), 4, "Update hunk does not contain any lines"),
        (patch("*** Update File: a", "@@", "*** Delete File: b"), 4, "Update hunk does not contain any lines"),
        (
            patch("*** Update File: a", "@@", "x"),
            4,
            "Unexpected line found in update hunk: 'x'. Every line should start with ' ' (context line), "
            "'+' (added line), or '-' (removed line)",
        ),
        (
            patch("*** Update File: a", "x"),
            3,
            "Unexpected line found in update hunk: 'x'. Every line should start with ' ' (context line), "
            "'+' (added line), or '-' (removed line)",
        ),
        (
            patch("*** Add File: a", "+x", "", "", "+y"),
            4,
            "Every line of an added file should start with '+', an empty one too",
        ),
        (
            patch("*** Add File: a", "+x\ud800"),
            3,
            "There is half of a surrogate pair, which no file can hold",
        ),
    ],
)
def test_an_error_says_what_is_wrong_and_where(text: str, line: int | None, message: str) -> None:
    with pytest.raises(PatchSyntaxError) as caught:
        parse_patch(text)
    error = caught.value
    assert (error.line, error.message) == (line, message)
    if line is None:
        assert (str(error), error.printed) == (f"invalid patch: {message}", f"Invalid patch: {message}")
    else:
        assert str(error) == f"invalid hunk at line {line}, {message}"
        assert error.printed == f"Invalid patch hunk on line {line}: {message}"


LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=8)
PATHS = st.text(st.characters(categories=["L", "N"], include_characters="._-/ "), min_size=1, max_size=12).filter(
    lambda path: path == path.strip()
)
ReadChunk = tuple[tuple[str, ...], tuple[tuple[str, str], ...], bool]
"""Headers, lines and end-of-file mark of a chunk."""
MARKED = st.lists(st.tuples(st.sampled_from(" +-"), LINES), min_size=1, max_size=6).map(tuple)


@st.composite
def _written_chunk(draw: st.DrawFn) -> tuple[list[str], ReadChunk]:
    headers = draw(st.lists(LINES.filter(str.strip), max_size=3))
    lines, at_end = draw(MARKED), draw(st.booleans())
    written = [f"@@ {header}" for header in headers] or ["@@"]
    written += [mark + text for mark, text in lines]
    return written + ["*** End of File"] * at_end, (tuple(headers), lines, at_end)


@given(PATHS, PATHS | st.none(), st.lists(_written_chunk(), min_size=1, max_size=4))
def test_what_is_written_by_the_rules_is_read_as_it_was_meant(
    path: str, move_to: str | None, written: list[tuple[list[str], ReadChunk]]
) -> None:
    lines = [f"*** Update File: {path}"] + [f"*** Move to: {move_to}"] * (move_to is not None)
    [section] = sections(*lines, *(line for chunk, _ in written for line in chunk))
    assert isinstance(section, UpdateFile)
    assert (section.path, section.move_to) == (path, move_to)
    assert [(chunk.headers, chunk.lines, chunk.at_end) for chunk in section.chunks] == [meant for _, meant in written]


def _refusal(text: str) -> str | None:
    try:
        parse_patch(text)
    except PatchError as error:
        return str(error)
    return None


def _is_read_or_refused(text: str) -> bool:
    refusal = _refusal(text)
    return refusal is None or refusal.startswith(("invalid patch: ", "invalid hunk at line "))


@given(st.text(st.characters()))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert _is_read_or_refused(text)


FRAGMENTS = st.sampled_from(
    """*** Begin Patch|*** End Patch|*** Add File: a|*** Delete File: a|*** Update File: a|*** Move to: b|
*** End of File|@@|@@ x|+|-| ||+x|-x| x|x|***|<<EOF|EOF""".replace("\n", "").split("|")
)


@given(st.lists(FRAGMENTS | LINES).map("\n".join), st.booleans())
def test_any_mixture_of_patch_lines_is_read_or_refused(text: str, enclosed: bool) -> None:
    assert _is_read_or_refused(patch(text) if enclosed else text)


@given(st.lists(FRAGMENTS).map(lambda lines: patch(*lines)))
def test_no_marked_line_is_ever_dropped(text: str) -> None:
    """What is read has as many added and removed lines as the text shows."""
    try:
        read = parse_patch(text)
    except PatchSyntaxError:
        return
    count = 0
    for section in read.sections:
        if isinstance(section, AddFile):
            count += section.content.count("\n")
        elif isinstance(section, UpdateFile):
            count += sum(mark != " " for chunk in section.chunks for mark, _ in chunk.lines)
    assert count == sum(line.startswith(("+", "-")) for line in read.text.split("\n"))
