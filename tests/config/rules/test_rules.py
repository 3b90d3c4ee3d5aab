"""A rule speaks of commands that begin with its words, the strictest one decides, and `allow` needs certainty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.rules.rules import STRICTNESS, PrefixRule, RuleDecision, Rules

words = st.sampled_from(["git", "push", "pull", "-f", "", "gi", "git push", "/usr/bin/git", "/tmp/git", "/bin/push"])
patterns = st.lists(st.lists(words, min_size=1, max_size=2).map(tuple), min_size=1, max_size=3).map(tuple)
rules = st.builds(PrefixRule, patterns, st.sampled_from(sorted(STRICTNESS)))
rule_sets = st.builds(Rules, st.lists(rules, max_size=5).map(tuple), st.just({}), st.booleans())
commands = st.lists(words, max_size=5)


def judged(command: str, *given: PrefixRule, **executables: frozenset[str]) -> RuleDecision | None:
    match = Rules(given, executables).judge(command.split())
    return None if match is None else match.rule.decision


def rule(pattern: str, decision: RuleDecision = "allow") -> PrefixRule:
    return PrefixRule(tuple(tuple(word.split("|")) for word in pattern.split()), decision)


@pytest.mark.parametrize(
    ("command", "decision"),
    [
        ("git push", "allow"),
        ("git push origin main", "allow"),
        ("git fetch", "allow"),
        ("git", None),
        ("git pull", None),
        ("git pushy", None),
        ("hg push", None),
        ("xgit push", None),
        ("", None),
    ],
)
def test_a_command_begins_with_the_words_of_a_pattern_or_the_rule_does_not_speak_of_it(
    command: str, decision: RuleDecision | None
) -> None:
    assert judged(command, rule("git push|fetch")) == decision


def test_of_several_rules_the_strictest_decides_and_of_those_the_longest() -> None:
    given = (rule("git push"), rule("git", "prompt"), rule("git push -f", "forbidden"))
    assert judged("git status", *given) == "prompt"
    assert judged("git push", *given) == "prompt"
    assert judged("git push -f", *given) == "forbidden"
    match = Rules((rule("git", "forbidden"), rule("git push", "forbidden"))).judge(["git", "push", "x"])
    assert match is not None
    assert match.prefix == ("git", "push")


@pytest.mark.parametrize(
    ("path", "listed", "allowed"),
    [
        ("/usr/bin/git", None, True),
        ("/bin/git", None, True),
        ("/tmp/git", None, False),
        ("bin/git", None, False),
        ("/usr/bin/git", frozenset({"/opt/git"}), False),
        ("/opt/git", frozenset({"/opt/git"}), True),
        ("/usr/bin/../../tmp/git", None, False),
    ],
)
def test_a_path_is_allowed_as_its_name_is_only_where_it_is_certain_to_be_that_program(
    path: str, listed: frozenset[str] | None, allowed: bool
) -> None:
    executables = {} if listed is None else {"git": listed}
    assert judged(f"{path} push", rule("git push"), **executables) == ("allow" if allowed else None)
    assert judged(f"{path} push", rule("git push", "forbidden"), **executables) == "forbidden"
    assert judged(f"{path} push", rule(f"{path} push")) == "allow"


@given(rule_sets, commands)
def test_nothing_is_allowed_that_does_not_begin_with_the_words_of_an_allowing_rule(
    rules: Rules, command: list[str]
) -> None:
    match = rules.judge(command)
    if match is None:
        return
    spoken = [command[0], *command[1:]]
    name = [command[0].rpartition("/")[2], *command[1:]]
    pattern = match.rule.pattern
    assert any(
        len(words) >= len(pattern) and all(word in known for word, known in zip(words, pattern, strict=False))
        for words in (spoken, name)
    )
    assert match.rule in rules.prefixes
    if match.rule.decision == "allow":
        assert rules.complete
        assert not any(other.matched(command) for other in rules.prefixes if other.decision != "allow")


@given(rule_sets, commands)
def test_one_more_rule_never_makes_a_decision_milder(rules: Rules, command: list[str]) -> None:
    fewer = Rules(rules.prefixes[1:], rules.executables, rules.complete).judge(command)
    more = rules.judge(command)
    assert fewer is None or (more is not None and more.strictness >= fewer.strictness)


@given(rule_sets, commands)
def test_what_restricts_a_command_is_never_what_allows_it(rules: Rules, command: list[str]) -> None:
    restricting = rules.restrict(command)
    judged = rules.judge(command)
    assert restricting == (None if judged is None or judged.rule.decision == "allow" else judged)


def test_as_long_as_a_file_cannot_be_read_nothing_is_allowed_and_all_restrictions_hold() -> None:
    rules = Rules((rule("git"), rule("git push", "forbidden")), complete=False)
    assert rules.judge(["git", "status"]) is None
    assert rules.judge(["git", "push"]) is not None
    assert rules.allowed_prefixes == ()


def test_the_model_is_told_what_is_allowed() -> None:
    assert Rules((rule("git push|fetch"), rule("rm", "forbidden"))).allowed_prefixes == (("git", "push|fetch"),)
