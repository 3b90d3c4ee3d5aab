"""Quoted words mean to a shell, and to our own reader, the words that they were made of."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.protocol.quoting import quote, shell_join, shell_split

WORDS = st.lists(
    st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
        st.text("'\"\\^$`!#=~%,{}[]()<>|&;*? \n\tab@", max_size=12),
    ),
    max_size=6,
)


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("", "''"),
        ("plain", "plain"),
        ("+-./:@]_aZ9", "+-./:@]_aZ9"),
        ("it's", '"it\'s"'),
        ("a=b", "'a=b'"),
        ("a,b", "'a,b'"),
        ("~", "'~'"),
        ("it's $x", "\"it's \"'$x'"),
        ("a\\b", '"a\\\\b"'),
        ("^x$", "'^x$'"),
        ("a^b", "a'^b'"),
        ("^'", "'^'\"'\""),
        ("é", "'é'"),
        ('say "hi"', "'say \"hi\"'"),
    ],
)
def test_words_are_quoted_as_clients_know_them(word: str, quoted: str) -> None:
    assert quote(word) == quoted


def test_words_are_joined_by_blanks() -> None:
    assert shell_join(["find", "tests", "-name", "*_t.py"]) == "find tests -name '*_t.py'"


def test_a_word_that_no_shell_can_take_is_shown_bare() -> None:
    assert shell_join(["a b", "c\0d"]) == "a b c\0d"


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_a_shell_reads_back_what_was_joined(words: list[str]) -> None:
    script = f"printf '%s\\0' {shell_join(words)}" if words else "true"
    told = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, check=True, env={"LC_ALL": "C.UTF-8"})
    assert told.stdout.decode().split("\0")[:-1] == words


@settings(deadline=None)
@given(WORDS)
def test_split_reads_back_what_was_joined(words: list[str]) -> None:
    assert shell_split(shell_join(words)) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  a\t b\n", ["a", "b"]),
        ("a # a comment\nb", ["a", "b"]),
        ("a#b", ["a#b"]),
        ("'a b'\"c\"d", ["a bcd"]),
        (r'"a\"b\c"', ['a"b\\c']),
        (r"a\ b", ["a b"]),
        ("a \\\n b", ["a", "b"]),
        ("''", [""]),
        ("'open", None),
        ('"open', None),
        ("open\\", None),
    ],
)
def test_split_follows_the_shell(text: str, words: list[str] | None) -> None:
    assert shell_split(text) == words
