"""Promises about the reading of options: what the grammar accepts, the program reads the same way."""

import getopt
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.approval.option_grammar import Option, OptionGrammar
from greenroom.workers.approval.safe_commands import classify
from greenroom.workers.exec.script import Word

GRAMMAR: Final = OptionGrammar(
    {"-a": "none", "-b": "none", "-f": "one", "--all": "none", "--file": "one", "--group": "attached"}
)
STRICT: Final = OptionGrammar(GRAMMAR.options, interleaved=False)
WORDS: Final = st.sampled_from(
    [
        "-",
        "--",
        "-a",
        "-b",
        "-ab",
        "-f",
        "-fx",
        "-af",
        "-abfx",
        "-x",
        "-5",
        "--all",
        "--al",
        "--file",
        "--file=x",
        "--file=",
        "--group",
        "--group=x",
        "--other",
        "x",
        "y",
        "",
        "a b",
        "-\u2013",
        "---",
        "--=x",
        "-a=b",
    ]
)
ARGUMENTS: Final = st.lists(WORDS, max_size=7)


def words(texts: Sequence[str], pattern: bool = False) -> list[Word]:
    return [Word(text, pattern) for text in texts]


@given(ARGUMENTS)
def test_what_is_accepted_is_what_getopt_reads(texts: list[str]) -> None:
    """The library's own getopt is the oracle; it takes an option with an optional value for one without."""
    found = GRAMMAR.read(words(texts))
    if found is None or any(option.name == "--group" and option.value for option in found.options):
        return
    options, operands = getopt.gnu_getopt(texts, "abf:", ["all", "file=", "group"])
    assert [(option.name, option.value or "") for option in found.options] == options
    assert [word.text for word in found.operands] == operands


@given(ARGUMENTS)
def test_where_options_end_at_the_first_operand_all_readers_agree(texts: list[str]) -> None:
    """As with POSIXLY_CORRECT: what the strict grammar accepts means the same to both kinds of program."""
    found = STRICT.read(words(texts))
    if found is None or any(option.name == "--group" and option.value for option in found.options):
        return
    if "--" in texts:  # behind an operand it is an operand for the one and nothing for the other: one operand more
        return
    assert getopt.getopt(texts, "abf:", ["all", "file=", "group"]) == getopt.gnu_getopt(
        texts, "abf:", ["all", "file=", "group"]
    )


@given(ARGUMENTS, st.sampled_from(["-f", "--file"]), st.sampled_from(["--", "-a", "-x", "--all", "-"]), ARGUMENTS)
def test_no_value_looks_like_an_option(before: list[str], option: str, value: str, after: list[str]) -> None:
    found = GRAMMAR.read(words([*before, option, value, *after]))
    assert found is None or "--" in before or Option(option, value) not in found.options


@given(ARGUMENTS, st.sampled_from(["*", "?x", "*-o", "-*", "-?", "--*", "-a*"]), ARGUMENTS)
def test_a_glob_that_may_become_an_option_is_not_read(before: list[str], glob: str, after: list[str]) -> None:
    found = GRAMMAR.read([*words(before), Word(glob, pattern=True), *words(after)])
    assert found is None or "--" in before, "behind which everything is an operand"


@given(ARGUMENTS, st.sampled_from(["x*", "src/*.py", "~/?"]))
def test_a_glob_is_no_value_and_makes_the_number_of_operands_unknown(before: list[str], glob: str) -> None:
    found = GRAMMAR.read([*words(before), Word(glob, pattern=True)])
    assert found is None or (found.may_be_more and found.operands[-1].text == glob)


@pytest.mark.parametrize("text", ["--al", "--fil=x", "--grou", "--no-all", "-x", "-ax", "-5", "--all=x"])
def test_what_is_not_listed_is_not_read(text: str) -> None:
    assert GRAMMAR.read(words([text])) is None


@given(
    st.lists(st.sampled_from(["-c", "-d", "-f1", "-f", "1", "--count", "--group=append", "-"]), max_size=4),
    st.sampled_from(["-", "in", "--", "x y"]),
    st.sampled_from(["out", "/etc/passwd", "-o", "*"]),
)
def test_uniq_is_never_given_a_file_to_write(options: list[str], first: str, second: str) -> None:
    argv = ["uniq", *options, first, second]
    if classify(argv) == "harmless":
        _, operands = getopt.getopt(argv[1:], "cdDiuzf:s:w:", ["count", "group="])
        assert len(operands) <= 1
