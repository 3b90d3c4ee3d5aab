"""Promises of the decision tables."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.tables.sandbox import (
    ConfinementPolicy,
    DangerFullAccessPolicy,
    ReadOnlyPolicy,
    WorkspaceWritePolicy,
)
from greenroom.protocol.mcp.toolset import APPROVAL_POLICIES, SANDBOX_MODES
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.workers.approval import decision
from greenroom.workers.approval.decision import (
    AskFirst,
    ExecutionDecision,
    Refuse,
    Run,
    RunReadOnly,
    RunSandboxed,
    SandboxedEnd,
    Situation,
    decide_command,
    decide_input,
    decide_patch,
    decide_retry,
    sandbox_failure,
)
from greenroom.workers.sandbox.policy import Surroundings, confine

SITUATIONS = st.builds(
    Situation,
    policy=st.sampled_from(APPROVAL_POLICIES),
    mode=st.sampled_from(SANDBOX_MODES),
    command=st.sampled_from(["harmless", "harmless_confined", "unknown", "dangerous"]),
    escalated=st.booleans(),
    remembered=st.booleans(),
    can_confine=st.booleans(),
)
HERE = Surroundings(cwd="/home/ada/shop", codex_home="/home/ada/.codex", runtime_directory="/run/greenroom")
SANDBOXES: dict[SandboxMode, ConfinementPolicy] = {
    "read-only": ReadOnlyPolicy(),
    "workspace-write": WorkspaceWritePolicy(),
    "danger-full-access": DangerFullAccessPolicy(),
}
CONFINED = [mode for mode in SANDBOX_MODES if mode != "danger-full-access"]


def verdict(decided: ExecutionDecision) -> str:
    return {Run: "run", RunSandboxed: "sandboxed", RunReadOnly: "read-only", AskFirst: "ask", Refuse: "refuse"}[
        type(decided)
    ]


def test_tables_are_complete() -> None:
    combinations = set(product(APPROVAL_POLICIES, SANDBOX_MODES))
    assert set(decision.COMMANDS) == set(decision.PATCHES) == combinations
    assert set(decision.RETRIES) == set(APPROVAL_POLICIES)


@given(SITUATIONS)
def test_every_situation_is_decided(situation: Situation) -> None:
    assert verdict(decide_command(situation))


@given(SITUATIONS)
def test_only_the_user_lifts_the_sandbox(situation: Situation) -> None:
    if situation.mode != "danger-full-access" and not situation.remembered:
        assert decide_command(situation) != Run()


@given(SITUATIONS)
def test_never_means_that_nobody_is_asked(situation: Situation) -> None:
    if situation.policy == "never":
        assert not isinstance(decide_command(situation), AskFirst)


@given(SITUATIONS)
def test_what_is_remembered_runs_as_it_was_approved(situation: Situation) -> None:
    if situation.remembered:
        assert decide_command(situation) == Run()


@pytest.mark.parametrize(
    ("policy", "unknown", "escalated"),
    [
        ("untrusted", "ask", "ask"),
        ("on-failure", "sandboxed", "sandboxed"),
        ("on-request", "sandboxed", "ask"),
        ("never", "sandboxed", "refuse"),
    ],
)
@pytest.mark.parametrize("mode", CONFINED)
def test_confined_commands(policy: ApprovalPolicy, mode: SandboxMode, unknown: str, escalated: str) -> None:
    assert verdict(decide_command(Situation(policy, mode, "unknown"))) == unknown
    assert verdict(decide_command(Situation(policy, mode, "dangerous"))) == unknown
    assert verdict(decide_command(Situation(policy, mode, "unknown", escalated=True))) == escalated
    assert verdict(decide_command(Situation(policy, mode, "harmless", escalated=True))) == escalated
    harmless = "read-only" if (policy, mode) == ("untrusted", "workspace-write") else "sandboxed"
    assert verdict(decide_command(Situation(policy, mode, "harmless"))) == harmless


@pytest.mark.parametrize(
    ("policy", "unknown", "dangerous"),
    [("untrusted", "ask", "ask"), ("on-failure", "run", "ask"), ("on-request", "run", "ask"), ("never", "run", "run")],
)
@pytest.mark.parametrize("escalated", [True, False])
def test_commands_with_full_access(policy: ApprovalPolicy, escalated: bool, unknown: str, dangerous: str) -> None:
    mode: SandboxMode = "danger-full-access"
    assert verdict(decide_command(Situation(policy, mode, "unknown", escalated))) == unknown
    assert verdict(decide_command(Situation(policy, mode, "dangerous", escalated))) == dangerous
    assert verdict(decide_command(Situation(policy, mode, "harmless", escalated))) == "run"


def test_question_carries_the_words_of_the_model() -> None:
    asked = decide_command(Situation("on-request", "read-only", "unknown", escalated=True), "needs the network")
    assert asked == AskFirst("needs the network", Run(), "exec command rejected by user")
    assert decide_command(Situation("untrusted", "read-only", "unknown")) == AskFirst(
        None, Run(), "exec command rejected by user"
    )


def test_refusal_tells_the_model_what_to_do() -> None:
    refused = decide_command(Situation("never", "read-only", "unknown", escalated=True))
    assert isinstance(refused, Refuse)
    assert "never" in refused.text
    assert "without asking for escalated permissions" in refused.text


@pytest.mark.parametrize(
    ("policy", "full", "read_only", "inside", "outside"),
    [
        ("untrusted", "ask", "ask", "ask", "ask"),
        ("on-failure", "run", "sandboxed", "sandboxed", "sandboxed"),
        ("on-request", "run", "ask", "sandboxed", "ask"),
        ("never", "run", "refuse", "sandboxed", "refuse"),
    ],
)
def test_patches(policy: ApprovalPolicy, full: str, read_only: str, inside: str, outside: str) -> None:
    def decided(mode: SandboxMode, *paths: str) -> str:
        return verdict(decide_patch(policy, mode, paths, confine(SANDBOXES[mode], HERE)))

    assert decided("danger-full-access", "/etc/passwd") == full
    assert decided("read-only", "/home/ada/shop/app.js") == read_only
    assert decided("workspace-write", "/home/ada/shop/app.js", "/tmp/x") == inside
    assert decided("workspace-write", "/home/ada/shop/app.js", "/home/ada/other") == outside
    assert decided("workspace-write", "/home/ada/shop/.git/config") == outside
    assert decided("workspace-write", "/home/ada/shop/../other") == outside


def test_refused_patches_say_why() -> None:
    confinement = confine(SANDBOXES["read-only"], HERE)
    assert decide_patch("never", "read-only", ["/x"], confinement) == Refuse(
        "patch rejected: writing outside of the project; rejected by user approval settings"
    )
    for policy in APPROVAL_POLICIES:
        assert decide_patch(policy, "read-only", [], confinement) == Refuse("patch rejected: empty patch")


@pytest.mark.parametrize("policy", APPROVAL_POLICIES)
def test_retry_is_offered_where_failures_are_the_users(policy: ApprovalPolicy) -> None:
    asked = decide_retry(policy, "denied")
    if policy in ("untrusted", "on-failure"):
        assert asked == AskFirst("command failed; retry without sandbox?", Run(), "exec command rejected by user")
    else:
        assert asked is None
    assert decide_retry(policy, "timeout") is None


@given(policy=st.sampled_from(APPROVAL_POLICIES), mode=st.sampled_from(SANDBOX_MODES))
def test_text_for_a_running_command_is_asked_for_where_nothing_else_bounds_it(
    policy: ApprovalPolicy, mode: SandboxMode
) -> None:
    chosen = mode == "danger-full-access" and policy != "untrusted"
    expected = Run if chosen else Refuse if policy == "never" else AskFirst
    assert isinstance(decide_input(policy, mode, confined=True, remembered=False), Run)
    assert isinstance(decide_input(policy, mode, confined=False, remembered=True), Run)
    assert isinstance(decide_input(policy, mode, confined=False, remembered=False), expected)


@pytest.mark.parametrize(
    ("ending", "failure"),
    [
        (SandboxedEnd(0), None),
        (SandboxedEnd(1), None),
        (SandboxedEnd(1, output="1 test failed"), None),
        (SandboxedEnd(2, output="grep: no match"), None),
        (SandboxedEnd(128, output="fatal: not a git repository"), None),
        (SandboxedEnd(0, output="permission denied"), None),
        (SandboxedEnd(126, output="./x: Permission denied"), None),
        (SandboxedEnd(127, output="sandbox: not found"), None),
        (SandboxedEnd(None, signal=11, output="Permission denied"), None),
        (SandboxedEnd(None, signal=9), None),
        (SandboxedEnd(1, output="touch: cannot touch 'x': Permission denied"), "denied"),
        (SandboxedEnd(1, output="sh: 1: cannot create x: Read-only file system"), "denied"),
        (SandboxedEnd(2, output="make: x: Permission denied"), "denied"),
        (SandboxedEnd(128, output="fatal: Operation not permitted"), "denied"),
        (SandboxedEnd(1, output="Error: EPERM: operation not permitted, open '/x'"), "denied"),
        (SandboxedEnd(6, output="curl: (6) Could not resolve host: example.org"), "denied"),
        (SandboxedEnd(6, output="curl: (6) Could not resolve host: example.org", network=True), None),
        (SandboxedEnd(1, output="Temporary failure in name resolution"), "denied"),
        (SandboxedEnd(128 + 31), "denied"),
        (SandboxedEnd(None, signal=31), "denied"),
        (SandboxedEnd(None, timed_out=True), "timeout"),
        (SandboxedEnd(0, timed_out=True), "timeout"),
    ],
)
def test_only_what_the_sandbox_refused_counts_as_its_doing(ending: SandboxedEnd, failure: str | None) -> None:
    assert sandbox_failure(ending) == failure


@given(st.integers(0, 127) | st.none(), st.sampled_from([None, 1, 9, 11, 15]), st.booleans())
def test_an_end_without_a_word_of_denial_is_the_commands_own(
    exit_code: int | None, number: int | None, network: bool
) -> None:
    ending = SandboxedEnd(exit_code, number, output="3 passed, 1 failed\n" * 20, network=network)
    assert sandbox_failure(ending) is None


@given(SITUATIONS)
def test_what_is_harmless_only_where_it_is_confined_runs_confined_or_is_asked_for(situation: Situation) -> None:
    if situation.policy == "untrusted" and situation.command == "harmless_confined" and not situation.remembered:
        confined = ("read-only", "sandboxed", "ask") if situation.can_confine else ("ask",)
        assert verdict(decide_command(situation)) in confined
