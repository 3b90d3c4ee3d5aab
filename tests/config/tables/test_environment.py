"""Promises about the environment of commands."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.section import check
from greenroom.config.tables.environment import ShellEnvironmentPolicy, matches_any, shell_environment
from greenroom.protocol.secrecy import is_secret_name

ENVIRONMENT = {
    "PATH": "/bin",
    "HOME": "/home/ada",
    "LANG": "C.UTF-8",
    "EDITOR": "vi",
    "GITHUB_TOKEN": "t",
    "my_secret": "s",
    "OPENAI_API_KEY": "sk",
}


def _names(**policy: object) -> set[str]:
    return set(shell_environment(check(ShellEnvironmentPolicy, policy), ENVIRONMENT))


def test_by_default_everything_is_handed_on_but_what_looks_secret() -> None:
    assert _names() == {"PATH", "HOME", "LANG", "EDITOR"}


def test_core_is_a_fixed_few() -> None:
    assert _names(inherit="core") == {"PATH", "HOME", "LANG"}


def test_core_names_are_exact() -> None:
    policy = ShellEnvironmentPolicy(inherit="core")
    assert shell_environment(policy, {"Path": "/bin", "HOME2": "x"}) == {}


def test_none_starts_empty() -> None:
    assert _names(inherit="none", set={"A": "1"}) == {"A"}


def test_secret_looking_names_can_be_kept() -> None:
    assert _names(ignore_default_excludes=True) == set(ENVIRONMENT) - {"OPENAI_API_KEY"}


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "CODEX_ACCESS_TOKEN", "CODEX_REFRESH_TOKEN_URL_OVERRIDE"])
def test_our_own_credentials_are_never_handed_on(name: str) -> None:
    assert shell_environment(ShellEnvironmentPolicy(ignore_default_excludes=True), {name: "x", "A": "1"}) == {"A": "1"}


def test_excluded_patterns_are_dropped() -> None:
    assert _names(exclude=["ed*", "L?NG"]) == {"PATH", "HOME"}


def test_set_overwrites_and_passes_the_excludes() -> None:
    policy = check(ShellEnvironmentPolicy, {"set": {"EDITOR": "ed", "CI_TOKEN": "x"}, "exclude": ["EDITOR"]})
    made = shell_environment(policy, ENVIRONMENT)
    assert (made["EDITOR"], made["CI_TOKEN"]) == ("ed", "x")


def test_include_only_is_the_last_word() -> None:
    assert _names(include_only=["PATH", "A*"], set={"ADDED": "1", "B": "2"}) == {"PATH", "ADDED"}


def test_filters_are_another_way_to_say_it() -> None:
    assert _names(filters={"ED*": "exclude"}) == _names(exclude=["ED*"])
    assert _names(filters={"P*": "include", "L*": "include"}) == _names(include_only=["P*", "L*"])


def test_environment_is_left_alone() -> None:
    before = dict(ENVIRONMENT)
    shell_environment(ShellEnvironmentPolicy(), ENVIRONMENT)
    assert before == ENVIRONMENT


@pytest.mark.parametrize("name", ["KEY", "aws_secret_access_key", "MONKEY", "npm_token", "TOKENIZERS_PARALLELISM"])
def test_secret_names_are_recognised_in_either_case(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["PATH", "K_E_Y", "", "PASSWORD"])
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("A", "a", True),
        ("A", "AB", False),
        ("*", "", True),
        ("?", "", False),
        ("A?C", "aXc", True),
        ("[A]", "A", False),
        ("[A]", "[a]", True),
        ("A.C", "ABC", False),
        ("A\\*", "A\\B", True),
        ("*A*B", "xAyBzB", True),
        ("*AB", "AABAB", True),
        ("Ä", "ä", False),
        ("K", "\u212a", False),
        ("A*B", "A\nB", True),
    ],
)
def test_only_stars_and_question_marks_are_special(pattern: str, name: str, matches: bool) -> None:
    assert matches_any(name, (pattern,)) is matches


def _upper(text: str) -> str:
    return "".join(letter.upper() if letter.isascii() else letter for letter in text)


def _naive(pattern: str, name: str) -> bool:
    @cache
    def match(p: int, n: int) -> bool:
        if p == len(pattern):
            return n == len(name)
        if pattern[p] == "*":
            return match(p + 1, n) or (n < len(name) and match(p, n + 1))
        return n < len(name) and pattern[p] in ("?", name[n]) and match(p + 1, n + 1)

    return match(0, 0)


@given(st.text("aAbB*?.\u0131\u212a", max_size=10), st.text("aAbB.\u0131\u212aiIkK\n", max_size=12))
def test_matching_agrees_with_the_definition(pattern: str, name: str) -> None:
    assert matches_any(name, (pattern,)) is _naive(_upper(pattern), _upper(name))


@given(st.lists(st.text("aAbB*?.|", max_size=6), max_size=4), st.text("aAbB.|", max_size=8))
def test_several_patterns_match_what_one_of_them_does(patterns: list[str], name: str) -> None:
    one_by_one = any(matches_any(name, (pattern,)) for pattern in patterns)
    assert matches_any(name, tuple(patterns)) is one_by_one


@given(st.text(max_size=30))
def test_every_name_matches_itself_where_nothing_in_it_is_special(name: str) -> None:
    if not set("*?") & set(name):
        assert matches_any(name, (name,))


def test_matching_many_stars_is_not_exponential() -> None:
    assert not matches_any("A" * 5_000, ("*A" * 200 + "*B",))


@given(st.dictionaries(st.text(min_size=1), st.text()), st.lists(st.text("aA_*?", max_size=4), max_size=3))
def test_nothing_excluded_gets_through(environment: dict[str, str], patterns: list[str]) -> None:
    policy = check(ShellEnvironmentPolicy, {"exclude": patterns})
    made = shell_environment(policy, environment)
    assert made.items() <= environment.items()
    assert not any(matches_any(name, tuple(patterns)) or is_secret_name(name) for name in made)
