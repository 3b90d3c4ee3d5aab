"""What people are shown of the texts of others is all that is there, and steers nothing."""

import json
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from greenroom.protocol.approval import CommandQuestion, FormQuestion, PatchQuestion, ToolQuestion, UrlQuestion
from greenroom.protocol.display import LIMIT, clean, clean_lines, shown, shown_lines
from greenroom.protocol.items import JsonObject
from greenroom.protocol.question_text import form_of, tool_meta

HOSTILE: Final = [
    "rm -rf x \u202e\x1b[2K\rls",
    "ls\nrm -rf /",
    "ls" + " " * 3000 + "; rm -rf /",
    "a\u009b31m",
    "a\u2066b\u2069",
    "zero\u200bwidth\u200d\ufeff",
    "line\u2028break\u2029",
    "nbsp\u00a0\u3000",
    "filler\u3164\u115f\u2800",
    "z" + "\u0301" * 40,
    "half \ud800 pair",
    "tag \U000e0041",
    "variant \ufe0f",
    "variant \U000e0100",
    "mongolian \u180b\u180f",
    "thai \u0e01" + "\u0e34\u0e49" * 20,
    "marks a" + "\u20d0\u1ab0\u1dc0",
    "<U+202E> is text",
    "<3000 blanks> is text",
    "\u23ce is text",
    "nul\0",
]
UNSEEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What Unicode says is not shown, and the empty Braille cell."""
TEXTS: Final = st.text(max_size=60) | st.sampled_from(HOSTILE) | st.text("<U+3 blanks>\u202e\n\t \u23ce", max_size=20)


@cache
def marks() -> re.Pattern[str]:
    """Return the pattern of the marks that stand over other characters: all of Unicode is looked at for them."""
    found = (re.escape(one) for one in map(chr, range(0x110000)) if unicodedata.category(one) == "Mn")
    return re.compile(f"[{''.join(found)}]+")


def spelled_back(text: str) -> str:
    """Undo `shown`, where nothing was left out."""
    out, rest = "", text
    while rest:
        if rest.startswith("<U+"):
            code, _, rest = rest[3:].partition(">")
            out += chr(int(code, 16))
        elif rest.startswith("<") and rest[1:2].isdecimal():
            count, _, rest = rest[1:].partition(" blanks>")
            out += " " * int(count)
        else:
            out += {"⏎": "\n", "⇥": "\t"}.get(rest[0], rest[0])
            rest = rest[1:]
    return out


@given(TEXTS)
def test_all_that_is_there_can_be_read(text: str) -> None:
    assert spelled_back(shown(text, 10_000)) == text


@given(TEXTS, TEXTS)
def test_different_texts_never_look_the_same(one: str, other: str) -> None:
    assert (shown(one, 10_000) == shown(other, 10_000)) == (one == other)


@given(TEXTS)
def test_nothing_that_is_shown_is_invisible(text: str) -> None:
    assert not {unicodedata.category(character) for character in shown(text)} & UNSEEN
    assert " " * 9 not in shown(text)
    assert not IGNORABLE.search(shown(text))
    assert max((len(run) for run in marks().findall(shown(text))), default=0) <= 2
    lines = shown_lines(text).split("\n")
    assert not {unicodedata.category(character) for line in lines for character in line} & UNSEEN


@given(TEXTS.map(lambda text: text * 30) | st.text(max_size=400), st.integers(40, 120))
def test_what_is_too_long_says_how_much_is_missing_and_keeps_both_ends(text: str, limit: int) -> None:
    whole, cut = shown(text, 100_000), shown(text, limit)
    assert len(cut) <= limit
    if cut != whole:
        head, _, rest = cut.partition("<" + cut.split(" characters left out>")[0].rpartition("<")[2])
        assert whole.startswith(head)
        assert whole.endswith(rest.removeprefix(" characters left out>"))
        assert not re.search(r"<U\+[0-9A-F]*(?![0-9A-F>])", cut), "a code point is cut in two"


def test_blanks_push_nothing_out_of_sight() -> None:
    assert shown("ls" + " " * 3000 + "; rm -rf /") == "ls<3000 blanks>; rm -rf /"
    many = shown_lines("Allow?" + "\n" * 500 + "By the way, this deletes everything.")
    assert many.count("\n") < 40
    assert "By the way" in many


def asked(text: str) -> dict[str, Callable[[], object]]:
    """Every text on which a person bases a decision, made from untrusted text."""
    choices = [{"const": "x", "title": text}, {"anyOf": [{"const": "y", "title": text}]}]
    field = {"type": "string", "title": text, "description": text, "oneOf": choices, "enumNames": [text, "y"]}
    form: JsonObject = {"type": "object", "properties": {"a": field}}
    command = CommandQuestion(call_id="c", command=["x"], shell_text="x", cwd="/", parts=[])
    call = ToolQuestion(call_id="c", server="s", tool="t", description="")
    question = FormQuestion(server="s", message="m", form={})
    return {
        "command": lambda: replace(command, shell_text=text).words(),
        "directory": lambda: replace(command, cwd=text).words(),
        "reason of a patch": lambda: PatchQuestion(call_id="c", changes={}, reason=text).words(),
        "tool": lambda: replace(call, tool=text).words(),
        "server": lambda: replace(call, server=text).words(),
        "description": lambda: tool_meta(replace(call, description=text)),
        "question of a server": lambda: replace(question, message=text).words(),
        "name of a server": lambda: replace(question, server=text).words(),
        "address of a server": lambda: UrlQuestion(server=text, message=text, url="https://x.test").words(),
        "form of a server": lambda: form_of(form),
    }


@pytest.mark.parametrize("place", asked(""))
@pytest.mark.parametrize("text", HOSTILE)
def test_every_question_shows_what_is_there(place: str, text: str) -> None:
    told = json.dumps(asked(text)[place](), ensure_ascii=False)
    assert not {unicodedata.category(character) for character in told} & UNSEEN
    assert " " * 9 not in told
    assert not IGNORABLE.search(told)
    assert len(told) < 10 * LIMIT


@given(st.lists(TEXTS, min_size=1, max_size=5).map("\n".join))
def test_no_line_of_a_server_looks_like_one_of_ours(text: str) -> None:
    first, *others = FormQuestion(server="s", message=text, form={}).words().split("\n")
    assert first.startswith("s: ")
    assert all(line.startswith("| ") for line in others)


@given(TEXTS)
def test_what_a_form_is_answered_with_stays_exact(text: str) -> None:
    field = {"type": "string", "enum": [text], "default": text, "oneOf": [{"const": text}]}
    form: JsonObject = {"type": "object", "properties": {text: field}, "required": [text]}
    assert form_of(form) == form


@given(TEXTS)
def test_lists_leave_out_what_steers(text: str) -> None:
    assert not {unicodedata.category(character) for character in clean(text)} & UNSEEN
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x9b2J", "2J"),
        ("a\nb\r\n\tc", "a b c"),
        ("bell\x07, null\x00", "bell, null"),
        ("\u202eturned\u2066", "turned"),
        ("lone \udcff", "lone"),
        ("  edges  ", "edges"),
        ("漢字 é", "漢字 é"),
    ],
)
def test_what_steers_is_left_out(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text(st.characters()))
@example("\x1b]0;title\x07")
def test_nothing_that_steers_is_left(text: str) -> None:
    for line in (clean(text), *clean_lines(text)):
        assert line.isprintable() or " " in line
        assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in line)
        line.encode()
    assert clean(clean(text)) == clean(text)
