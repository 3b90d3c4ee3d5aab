"""A file is read as Starlark reads it, or rejected with its line; nothing in it is executed."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.rules.rules import PrefixRule
from greenroom.config.rules.rules_language import MAX_WORDS, RulesError, parse_rules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("# nothing\n", ()),
        ('prefix_rule(pattern=["git"])', (PrefixRule((("git",),)),)),
        ('prefix_rule(["git"], "prompt")', (PrefixRule((("git",),), "prompt"),)),
        (
            'prefix_rule(\n    pattern = ["git", ["push", "fetch"]],  # both\n    decision = "forbidden",\n'
            '    justification = "ask first",\n)\n',
            (PrefixRule((("git",), ("push", "fetch")), "forbidden", "ask first"),),
        ),
        (
            'BASE = ["git"]\nprefix_rule(pattern=BASE + ["pu" + "sh"], match=None)',
            (PrefixRule((("git",), ("push",))),),
        ),
        (
            "prefix_rule(pattern=['a\\\\b', r'a\\b', '''x''', '\\x41'])",
            (PrefixRule((("a\\b",), ("a\\b",), ("x",), ("A",))),),
        ),
        (
            'prefix_rule(pattern=["git"], match=["git \'a b\'", ["git"], "/opt/git x"], not_match=["hg", ["git x"]])',
            (PrefixRule((("git",),)),),
        ),
        ("prefix_rule(pattern=[\n    'a',\n    # then\n    r'\\q',\n])", (PrefixRule((("a",), ("\\q",))),)),
        *(
            (f'network_rule(host="a", protocol="{protocol}", decision="{decision}", justification="why")', ())
            for protocol in ("http", "https", "https_connect", "socks5_tcp", "socks5_udp")
            for decision in ("allow", "prompt", "deny", "forbidden")
        ),
    ],
)
def test_rules_are_read(text: str, expected: tuple[PrefixRule, ...]) -> None:
    assert parse_rules(text).prefixes == expected


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ('prefix_rule(pattern=["a"', 1, "syntax"),
        ("\n\nprefix_rule(pattern=[])", 3, "must not be empty"),
        ('prefix_rule(pattern=["a", []])', 1, "must not be empty"),
        ('prefix_rule(pattern="git")', 1, "has to be a list"),
        ('prefix_rule(pattern=("git",))', 1, "no literal value"),
        ("prefix_rule(pattern=[1])", 1, "no literal value"),
        ('prefix_rule(pattern=[["a", ["b"]]])', 1, "only strings"),
        ("prefix_rule()", 1, "has to be a list"),
        ('prefix_rule(pattern=["a"], decision="ask")', 1, "`allow`, `forbidden`, `prompt`"),
        ('prefix_rule(pattern=["a"], justification=" ")', 1, "not blank"),
        ('prefix_rule(pattern=["a"], foo="b")', 1, "no argument `foo`"),
        ('prefix_rule(["a"], pattern=["b"])', 1, "no argument `pattern`"),
        ('prefix_rule(**{"pattern": ["a"]})', 1, "no argument"),
        ('prefix_rule(["a"], "allow", [])', 1, "by name"),
        ('\nprefix_rule(pattern=["a"], match=["b"])', 2, "`b` in `match` is not matched"),
        ('prefix_rule(pattern=["a"], not_match=["a b"])', 1, "`a b` in `not_match` is matched"),
        ('prefix_rule(pattern=["a"], match=[\'a "b\'])', 1, "shell"),
        ('prefix_rule(pattern=["a"], match=[[]])', 1, "must not be empty"),
        ('prefix_rule(pattern=["a" "b"])', 1, "comma"),
        ('prefix_rule(pattern=["a"\n  # then\n  "b"])', 3, "comma"),
        ('prefix_rule(pattern=["a\\qb"])', 1, "unknown escape `\\q`"),
        ('prefix_rule(pattern=[f"a"])', 1, "prefix `f`"),
        ('prefix_rule(pattern=[b"a"])', 1, "prefix `b`"),
        ('load("x.rules", "y")', 1, "`load` is no rule"),
        ('print("x")', 1, "`print` is no rule"),
        ("a.b()", 1, "no rule"),
        ("import os", 1, "only rules"),
        ('for x in ["a"]:\n    prefix_rule(pattern=[x])', 1, "only rules"),
        ('[prefix_rule(pattern=[x]) for x in ["a"]]', 1, "only rules"),
        ('prefix_rule(pattern=[x for x in ["a"]])', 1, "no literal value"),
        ("prefix_rule(pattern=NAME)", 1, "`NAME` is no literal value"),
        ('A = __import__("os")', 1, "no literal value"),
        ('A = "x" * 9', 1, "no literal value"),
        ('A = ["x"] + "y"', 1, "two strings or two lists"),
        ('A = "x" + ["y"]', 1, "two strings or two lists"),
        ("x: str = 'a'", 1, "only rules"),
        ('prefix_rule(pattern=["a"], decision=["allow"])', 1, "`decision` has to be one of"),
        ('prefix_rule(pattern=["a"], justification=["x"])', 1, "not blank"),
        ('prefix_rule(pattern=["a"], match=[["b", "c"]])', 1, "`b c` in `match`"),
        ('host_executable(name=["git"], paths=[])', 1, "without a directory"),
        ('host_executable(name="", paths=[])', 1, "without a directory"),
        ('network_rule(host=["a"], protocol="https", decision="deny")', 1, "one host"),
        ('network_rule(host=" ", protocol="https", decision="deny")', 1, "one host"),
        ('network_rule(host="a.example", protocol="https", decision="ask")', 1, "`decision`"),
        ('network_rule(host="a.example", protocol="https", decision="deny", justification="")', 1, "not blank"),
        ("A = B = 'a'", 1, "only rules"),
        ('host_executable(name="a/b", paths=[])', 1, "without a directory"),
        ('host_executable(name="git", paths=["git"])', 1, "not an absolute path"),
        ('host_executable(name="git", paths=["/x/hg"])', 1, "program `git`"),
        ('network_rule(host="*.example", protocol="https", decision="deny")', 1, "wildcards"),
        ('network_rule(host="a.example", protocol="ftp", decision="deny")', 1, "`protocol`"),
        ("(" * 5000, 1, "syntax"),
        ("A = " + "+".join(["'x'"] * 20_000), 1, "nested too deeply"),
        ("A = " + "-" * 20_000 + "'x'", 1, "nested too deeply"),
        ("\0", 1, "syntax"),
    ],
)
def test_what_is_not_understood_is_rejected_with_its_line(text: str, line: int, fault: str) -> None:
    with pytest.raises(RulesError, match=f"^line {line}: ") as caught:
        parse_rules(text)
    assert fault in str(caught.value)


def test_names_cannot_make_a_file_grow_beyond_its_size() -> None:
    doubled = "\n".join(["A = ['x', 'y']", *["A = A + A"] * 40])
    with pytest.raises(RulesError, match=f"more than {MAX_WORDS} words"):
        parse_rules(doubled)
    with pytest.raises(RulesError, match=f"more than {MAX_WORDS} words"):
        parse_rules("A = [" + "''," * (MAX_WORDS + 1) + "]")
    longer = "\n".join(["A = 'xxxxxxxxxxxxxxxx'", *["A = A + A"] * 40])
    with pytest.raises(RulesError, match="too long"):
        parse_rules(longer)


def test_programs_are_bound_to_their_paths() -> None:
    read = parse_rules('host_executable(name="git", paths=["/opt/git", "/usr/bin/git"])')
    assert read.executables == {"git": frozenset({"/opt/git", "/usr/bin/git"})}


@given(st.text())
def test_any_text_is_read_or_rejected(text: str) -> None:
    try:
        parse_rules(text)
    except RulesError as error:
        assert error.line >= 1


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=4))
def test_words_are_read_back_as_json_writes_them(words: list[str]) -> None:
    text = msgspec.json.encode(words).decode().replace("\\/", "/")
    assert parse_rules(f"prefix_rule(pattern={text})").prefixes[0].pattern == tuple((word,) for word in words)
