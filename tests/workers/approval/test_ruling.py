"""A script is allowed where every part of it is, a restriction is found in any part, and quoting changes neither."""

import shlex
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenroom.config.rules.rules import PrefixRule, RuleDecision, Rules
from greenroom.protocol.policy import ApprovalPolicy
from greenroom.workers.approval.decision import (
    EXEC_REJECTED_BY_USER,
    AskFirst,
    ExecutionDecision,
    Refuse,
    Run,
    RunReadOnly,
    RunSandboxed,
)
from greenroom.workers.approval.ruling import Ruling, apply_ruling, proposed_rule, ruling_on

RULES = Rules(
    (
        PrefixRule((("git",), ("status", "add"))),
        PrefixRule((("make",),), justification="builds"),
        PrefixRule((("bash",), ("tool.sh",))),
        PrefixRule((("git",), ("push",)), "forbidden", "use the queue"),
        PrefixRule((("cat",),), "prompt"),
    )
)


def judged(*argv: str, rules: Rules = RULES) -> RuleDecision | None:
    ruling = ruling_on(rules, argv)
    return None if ruling is None else ruling.match.rule.decision


@pytest.mark.parametrize(
    ("script", "decision"),
    [
        ("git status", "allow"),
        ("git status && make all", "allow"),
        ("git status; make | make", "allow"),
        ("git 'status'", "allow"),
        ('git "status" -s', "allow"),
        ("g\\it status", None),
        ("make !!", None),
        ("gït status", None),
        ("bash tool.sh", "allow"),
        ("git status; true", None),
        ("git status > f", None),
        ("git status &", None),
        ("git add *", None),
        ("git add ~", None),
        ("git add $x", None),
        ("git add $(rm x)", None),
        ("(git status)", None),
        ("x=1 git status", None),
        ("if git status; then make; fi", None),
        ("git 'status add'", None),
        ("'git status'", None),
        ("bash -c 'git status'", None),
        ("./git status", None),
        ("/usr/bin/git status", "allow"),
        ("/tmp/git status", None),
        ("sudo git status", None),
        ("git push", "forbidden"),
        ("git status && git push", "forbidden"),
        ("/tmp/git push", "forbidden"),
        ("sudo -n git push", "forbidden"),
        ("env X=1 git push", "forbidden"),
        ("bash -c 'git push'", "forbidden"),
        ("sudo sh -c 'true; git push'", "forbidden"),
        ("x=1 git push > f", "forbidden"),
        ("(git push)", "forbidden"),
        ("git pu\\sh", "forbidden"),
        ('"git" push $x', "forbidden"),
        ("if true; then git push; fi", "forbidden"),
        ("echo $(git push)", "forbidden"),
        ("f() { git push; }; f", "forbidden"),
        ("git push | cat", "forbidden"),
        ("make | cat", "prompt"),
        ("cat", "prompt"),
        ("", None),
        ("git push" + " x" * 70_000, "forbidden"),
        ("git status" + " x" * 70_000, None),
    ],
)
def test_a_script_is_ruled_by_its_parts(script: str, decision: RuleDecision | None) -> None:
    assert judged("/bin/bash", "-lc", script) == decision
    assert judged("sh", "-c", script) == decision


@pytest.mark.parametrize(
    ("argv", "decision"),
    [
        (("git", "status"), "allow"),
        (("git", "status;rm"), None),
        (("git", "push", "*"), "forbidden"),
        (("git", "add", "*"), "allow"),
        (("bash", "tool.sh"), "allow"),
        (("bash", "-x", "-c", "git status"), None),
        ((), None),
    ],
)
def test_a_command_without_a_shell_is_its_words(argv: tuple[str, ...], decision: RuleDecision | None) -> None:
    assert judged(*argv) == decision


def test_without_rules_nothing_is_said() -> None:
    assert ruling_on(Rules(), ("git", "push")) is None


def test_a_rule_about_a_shell_allows_no_script_of_it() -> None:
    rules = Rules((PrefixRule((("bash",),)), PrefixRule((("/bin/bash",),))))
    assert judged("bash", "-lc", "rm x", rules=rules) is None
    assert judged("/bin/bash", "-c", "rm x > y", rules=rules) is None
    assert judged("bash", "x.sh", rules=rules) == "allow"
    assert judged("bash", "-c", "rm x", rules=Rules((PrefixRule((("bash",),), "prompt"),))) == "prompt"


QUOTING: list[Callable[[str], str]] = [
    str,
    shlex.quote,
    lambda word: f'"{word}"',
    lambda word: f"{word[:1]}\\{word[1:]}",
]
scripts = st.lists(
    st.tuples(
        st.sampled_from(
            ["git", "status", "make", "rm", "git status", "$x", "*", "'", '"', "\\", "a b", "#", "`", "\n"]
        ),
        st.sampled_from(QUOTING),
        st.sampled_from([" ", "", " && ", ";", "|", " > ", "\n", " & ", "$(", ")"]),
    ),
    max_size=6,
).map(lambda parts: "".join(quote(word) + joint for word, quote, joint in parts))


@given(scripts)
@example("git status\\\n&& rm x")
def test_whatever_the_quoting_only_commands_with_the_words_of_a_rule_are_allowed(script: str) -> None:
    if judged("bash", "-c", script) != "allow":
        return
    lexer = shlex.shlex(script.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.commenters = ""
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word and set(word) <= set(";|&"):
            commands.append([])
        else:
            commands[-1].append(word)
    assert all(words[:1] == ["make"] or words[:2] in (["git", "status"], ["git", "add"]) for words in commands if words)


# What becomes of a command

WITHOUT: dict[str, ExecutionDecision] = {
    "run": Run(),
    "sandboxed": RunSandboxed(),
    "read-only": RunReadOnly(),
    "ask": AskFirst("so", Run(), "denied"),
    "refuse": Refuse("no"),
}
FORBIDDEN = Refuse(
    "exec command rejected: a rule of the user forbids commands that begin with `git push`: use the queue"
)
REASON = "a rule requires approval for commands that begin with `cat`"


def ruling(*argv: str) -> Ruling:
    found = ruling_on(RULES, argv)
    assert found is not None
    return found


@pytest.mark.parametrize("policy", ["untrusted", "on-failure", "on-request", "never"])
@pytest.mark.parametrize("without", WITHOUT)
def test_allow_lifts_the_question_and_the_sandbox_and_forbidden_refuses(without: str, policy: ApprovalPolicy) -> None:
    decision = WITHOUT[without]
    assert apply_ruling(None, decision, policy) is decision
    assert apply_ruling(ruling("make"), decision, policy) == Run()
    assert apply_ruling(ruling("git", "push"), decision, policy, confirmed=True) == FORBIDDEN


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ("run", AskFirst(REASON, Run(), EXEC_REJECTED_BY_USER)),
        ("sandboxed", AskFirst(REASON, RunSandboxed(), EXEC_REJECTED_BY_USER)),
        ("read-only", AskFirst(REASON, RunReadOnly(), EXEC_REJECTED_BY_USER)),
        ("ask", AskFirst(REASON, Run(), EXEC_REJECTED_BY_USER)),
        ("refuse", Refuse("no")),
    ],
)
def test_prompt_asks_and_changes_nothing_else(without: str, expected: ExecutionDecision) -> None:
    decision = WITHOUT[without]
    assert apply_ruling(ruling("cat", "x"), decision, "on-request") == expected
    confirmed = apply_ruling(ruling("cat", "x"), decision, "on-request", confirmed=True)
    assert confirmed == (expected if without in ("ask", "refuse") else decision)


@pytest.mark.parametrize("without", ["run", "sandboxed", "read-only", "ask"])
def test_prompt_refuses_where_nobody_may_be_asked(without: str) -> None:
    refused = apply_ruling(ruling("cat", "x"), WITHOUT[without], "never")
    assert isinstance(refused, Refuse)
    assert "requires approval for commands that begin with `cat`" in refused.text


@pytest.mark.parametrize(
    ("argv", "proposed"),
    [
        (("git", "commit", "-m", "x y"), ("git", "commit", "-m", "x y")),
        (("/usr/bin/tool", "a"), ("/usr/bin/tool", "a")),
        (("bash", "-lc", "tool 'a b'"), ("tool", "a b")),
        (("bash", "-lc", "git status && tool a"), ("tool", "a")),
        (("git", "status"), None),
        (("git", "push"), None),
        (("cat", "x"), None),
        (("bash", "-lc", "tool a; other b"), None),
        (("bash", "-lc", "tool *"), None),
        (("bash", "-lc", "tool > f"), None),
        (("bash", "-lc", "tool $(x)"), None),
        (("./tool", "a"), None),
        (("/tmp/tool", "a"), None),
        (("dir/tool",), None),
        (("tool", "x" * 1000), None),
        ((), None),
    ],
)
def test_a_rule_is_proposed_for_one_plain_command_that_no_rule_speaks_of(
    argv: tuple[str, ...], proposed: tuple[str, ...] | None
) -> None:
    assert proposed_rule(RULES, argv) == proposed
    assert proposed_rule(msgspec.structs.replace(RULES, complete=False), argv) is None


@pytest.mark.parametrize(
    "argv", [("/bin/",), ("",), ("/x",), ("bin/x",), ("bash", "-c", "cat x; frobnicate"), ("env", "git", "push")]
)
def test_no_rule_is_proposed_for_what_names_no_program_or_is_restricted_in_part(argv: tuple[str, ...]) -> None:
    assert proposed_rule(RULES, argv) is None


@given(st.lists(st.text(min_size=1), min_size=1))
def test_a_proposed_rule_allows_its_command(argv: list[str]) -> None:
    proposed = proposed_rule(RULES, argv)
    if proposed is not None:
        assert judged(*argv, rules=RULES.allowing([proposed])) == "allow"
