"""What the rules and the user say about a command is what happens to it, and the model learns of a no."""

import asyncio
import re
from itertools import product

import msgspec
import pytest
from msgspec.structs import replace

from greenroom.config.rules.rules import PrefixRule, Rules
from greenroom.protocol.approval import DENIED, AnyQuestion, CommandQuestion, Decision
from greenroom.protocol.events.command import UnknownCommand
from greenroom.protocol.ids import TurnId
from greenroom.protocol.mcp.toolset import APPROVAL_POLICIES, SANDBOX_MODES
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK, too_late
from greenroom.workers.approval.decision import (
    COMMANDS,
    ESCALATION_REFUSED,
    INPUT_UNDER_NEVER,
    RETRIES,
    Case,
    CommandFailure,
)
from greenroom.workers.conversation.pending_approvals import PendingApprovals
from greenroom.workers.tools.approval_gate import ApprovalGate
from greenroom.workers.tools.context import ToolOutput
from greenroom.workers.tools.registry import call
from greenroom.workers.tools.types import CommandFacts, ToolFailure
from tests.workers.tools.conftest import Conversations

YES = Decision(verdict="approved")
FOR_SESSION = Decision(verdict="approved_for_session")
ABORT = Decision(verdict="abort")
NO = DENIED

UNKNOWN = ["sh", "-c", "exit 0;"]
CALLS: dict[Case, dict[str, object]] = {
    "harmless": {"command": ["true"]},
    "harmless_confined": {"command": ["git", "status"]},
    "unknown": {"command": ["bash", "-c", "x=1; true"]},
    "dangerous": {"command": ["rm", "-f", "no such file"]},
    "escalated": {"command": ["true"], "with_escalated_permissions": True, "justification": "it has to"},
}
ROWS = list(product(APPROVAL_POLICIES, SANDBOX_MODES))
CONFINED: list[SandboxMode] = ["read-only", "workspace-write"]
FAILURES: dict[CommandFailure, dict[str, object]] = {
    "denied": {"command": ["sh", "-c", 'test -z "$CONFINED" || { printf "x: Permission denied"; exit 1; }']},
    "timeout": {"command": ["sh", "-c", 'test -z "$CONFINED" || sleep 600'], "timeout_ms": 100},
}
NEEDS_OUT = FAILURES["denied"]
SUCCESS = re.compile(r'\{"output":"","metadata":\{"exit_code":0,"duration_seconds":\d+\.\d\}\}')
ATTEMPT = ["exec_command_begin", "exec_command_end"]


def without_output(order: list[str]) -> list[str]:
    return [kind for kind in order if kind != "exec_command_output_delta"]


# The table


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize(("policy", "mode"), ROWS)
def test_every_command_goes_the_way_of_the_table(
    begin: Conversations, policy: ApprovalPolicy, mode: SandboxMode, case: Case
) -> None:
    row = COMMANDS[policy, mode]
    verdict = row.get(case) or row["harmless"]
    conversation = begin("/tmp", policy, mode, [YES] if verdict == "ask" else [])
    told = conversation.run(**CALLS[case])
    assert told.success == (verdict != "refuse") or case == "harmless_confined", "which is no repository"
    assert conversation.ways == {"run": (0, 1), "sandboxed": (1, 0), "ask": (0, 1)}.get(verdict, (0, 0))
    assert len(conversation.read_only.started) == (verdict == "read-only")
    asked = ["exec_approval_request", "question"] if verdict == "ask" else []
    assert without_output(conversation.order) == asked + ([] if verdict == "refuse" else ATTEMPT)


@pytest.mark.parametrize("mode", CONFINED)
def test_an_escalation_that_nobody_can_grant_is_refused_with_advice(begin: Conversations, mode: SandboxMode) -> None:
    told = begin(policy="never", mode=mode).run(**CALLS["escalated"])
    assert told == ToolOutput(ESCALATION_REFUSED, success=False)


def test_the_words_of_the_later_models_escalate_too(begin: Conversations) -> None:
    conversation = begin(policy="on-request", mode="read-only", answers=[YES])
    assert conversation.run(command=["true"], sandbox_permissions="require_escalated").success
    assert conversation.ways == (0, 1)
    assert conversation.run(command=["true"], sandbox_permissions="use_default").success
    assert conversation.ways == (1, 1)


# The question


def test_the_question_and_its_event_say_what_would_run_and_where(begin: Conversations) -> None:
    conversation = begin("/tmp", "on-request", "read-only", [YES])
    conversation.run(
        command=["printf", "it's"], workdir="/", with_escalated_permissions=True, justification="it has to"
    )
    facts = {"call_id": "call_1", "turn_id": "turn_1", "command": ["printf", "it's"], "cwd": "/"}
    parsed = [{"type": "unknown", "cmd": 'printf "it\'s"'}]
    asked = conversation.event("exec_approval_request")
    assert asked.pop("available_decisions") == ["approved", "approved_for_session", "denied", "abort"]
    told = {"type": "exec_approval_request", "kind": "command", **facts, "parsed_cmd": parsed, "reason": "it has to"}
    assert asked == told
    (question,) = conversation.questions
    assert question == CommandQuestion(
        call_id="call_1",
        command=["printf", "it's"],
        shell_text='printf "it\'s"',
        cwd="/",
        parts=[UnknownCommand('printf "it\'s"')],
        reason="it has to",
        proposed_rule=["printf", "it's"],
    )


def test_without_a_justification_no_reason_is_given(begin: Conversations) -> None:
    conversation = begin(policy="untrusted", mode="read-only", answers=[YES])
    conversation.run(command=UNKNOWN)
    assert "reason" not in conversation.event("exec_approval_request")


def test_deletions_without_sandbox_are_asked_for_with_the_reason(begin: Conversations) -> None:
    conversation = begin("/tmp", "on-request", "danger-full-access", [NO])
    conversation.run(**CALLS["dangerous"])
    reason = "deletes without asking, and there is no sandbox"
    assert conversation.event("exec_approval_request")["reason"] == reason


# The answers


@pytest.mark.parametrize("answer", [YES, FOR_SESSION], ids=lambda answer: answer.verdict)
def test_an_approved_command_runs_without_the_sandbox(begin: Conversations, answer: Decision) -> None:
    conversation = begin(policy="untrusted", mode="read-only", answers=[answer])
    told = conversation.run(**NEEDS_OUT)
    assert told.success
    assert SUCCESS.fullmatch(told.text)
    assert conversation.ways == (0, 1)


def test_an_approval_is_for_once(begin: Conversations) -> None:
    conversation = begin(policy="untrusted", mode="read-only", answers=[YES, NO])
    assert conversation.run(command=UNKNOWN).success
    assert not conversation.run(command=UNKNOWN).success
    assert len(conversation.questions) == 2


def test_what_is_approved_for_the_session_is_not_asked_again(begin: Conversations) -> None:
    conversation = begin(policy="untrusted", mode="read-only", answers=[FOR_SESSION])
    for directory in ("/", "/tmp", "/usr"):
        assert conversation.run(command=UNKNOWN, workdir=directory).success
    assert conversation.run(command=UNKNOWN, with_escalated_permissions=True).success
    assert len(conversation.questions) == 1
    assert conversation.ways == (0, 4)


def test_an_approval_for_the_session_is_for_these_very_words(begin: Conversations) -> None:
    conversation = begin(policy="untrusted", mode="read-only", answers=[FOR_SESSION, NO, NO])
    assert conversation.run(command=UNKNOWN).success
    for other in ([*UNKNOWN, "more"], ["/bin/sh", *UNKNOWN[1:]]):
        assert not conversation.run(command=other).success
    assert len(conversation.questions) == 3


def test_an_approval_for_the_session_is_not_for_another_conversation(begin: Conversations) -> None:
    assert begin(policy="untrusted", mode="read-only", answers=[FOR_SESSION]).run(command=UNKNOWN).success
    other = begin(policy="untrusted", mode="read-only", answers=[NO])
    assert not other.run(command=UNKNOWN).success


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (NO, "exec command rejected by user"),
        (Decision(verdict="denied", reason="try `make` first"), "exec command rejected by user: try `make` first"),
        (too_late(3), f"exec command rejected by user: {too_late(3).reason}"),
        (CANNOT_ASK, f"exec command rejected by user: {CANNOT_ASK.reason}"),
    ],
)
def test_a_no_is_told_to_the_model_with_its_reason(begin: Conversations, answer: Decision, text: str) -> None:
    conversation = begin(policy="untrusted", mode="danger-full-access", answers=[answer])
    assert conversation.run(command=UNKNOWN) == ToolOutput(text, success=False)
    assert conversation.ways == (0, 0)
    assert conversation.order == ["exec_approval_request", "question"]


def test_a_no_is_not_remembered(begin: Conversations) -> None:
    conversation = begin(policy="untrusted", mode="read-only", answers=[NO, YES])
    assert not conversation.run(command=UNKNOWN).success
    assert conversation.run(command=UNKNOWN).success


def test_an_abort_stops_the_turn(begin: Conversations) -> None:
    conversation = begin(policy="untrusted", mode="read-only", answers=[ABORT])
    with pytest.raises(asyncio.CancelledError):
        conversation.run(command=UNKNOWN)
    assert conversation.ways == (0, 0)
    assert conversation.order == ["exec_approval_request", "question"]


def test_a_turn_that_is_stopped_while_it_asks_runs_nothing_and_leaves_no_question(begin: Conversations) -> None:
    conversation = begin(policy="untrusted", mode="read-only")
    asked = asyncio.Event()

    class Sender:
        def ask_user(self, question_id: int, question: AnyQuestion) -> None:
            asked.set()

    async def stop_when_asked() -> int:
        questions = PendingApprovals(Sender())
        gate = ApprovalGate("untrusted", "read-only", None, questions.ask, conversation.emit)
        context = replace(conversation.context, gate=gate)
        task = asyncio.create_task(call("shell", "call_1", '{"command":["make"]}', context))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return questions.open

    assert asyncio.run(stop_when_asked()) == 0
    assert conversation.ways == (0, 0)
    assert conversation.order == ["exec_approval_request"]


# A second attempt after a failure in the sandbox


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("policy", [policy for policy in APPROVAL_POLICIES if policy != "untrusted"])
def test_every_failure_in_the_sandbox_goes_the_way_of_the_table(
    begin: Conversations, policy: ApprovalPolicy, failure: CommandFailure
) -> None:
    asks = RETRIES[policy][failure] == "ask"
    conversation = begin(policy=policy, mode="read-only", answers=[YES] if asks else [])
    told = conversation.run(**FAILURES[failure])
    assert conversation.ways == ((1, 1) if asks else (1, 0))
    assert told.success == asks


@pytest.mark.parametrize("policy", ["untrusted", "on-failure"])
@pytest.mark.parametrize("script", ["exit 1", "echo 3 failed; exit 1", "grep -c x /dev/null", "kill -9 $$", "exit 130"])
def test_nobody_is_asked_about_an_end_that_is_the_commands_own(
    begin: Conversations, policy: ApprovalPolicy, script: str
) -> None:
    conversation = begin(policy=policy, mode="read-only", answers=[YES] if policy == "untrusted" else [])
    conversation.run(command=["sh", "-c", f"{script};"])
    asked = [question for question in conversation.events if "retry" in str(question.get("reason"))]
    assert asked == []


@pytest.mark.parametrize(
    "command", [["false"], ["cat", "/no/such/file"], ["ls", "/root/\u2026"], ["tail", "-f", "/dev/null"]]
)
def test_a_harmless_command_needs_nothing_that_the_sandbox_refuses(begin: Conversations, command: list[str]) -> None:
    conversation = begin(policy="untrusted", mode="read-only")
    assert not conversation.run(command=command, timeout_ms=100).success
    assert (conversation.questions, conversation.ways) == ([], (1, 0))


def test_a_retry_has_its_own_begin_and_end_and_is_announced(begin: Conversations) -> None:
    conversation = begin("/tmp", "on-failure", "workspace-write", [YES])
    told = conversation.run(**NEEDS_OUT)
    assert told.success
    assert SUCCESS.fullmatch(told.text)
    first, last = conversation.order.index("exec_approval_request"), conversation.order.index("question")
    assert [kind for kind in without_output(conversation.order[:first]) if kind != "background_event"] == ATTEMPT
    assert conversation.order[last:] == ["question", "background_event", *ATTEMPT]
    assert conversation.events[-3] == {"type": "background_event", "message": "retrying command without sandbox"}
    ends = [event for event in conversation.events if event["type"] == "exec_command_end"]
    assert [(end["call_id"], end["exit_code"]) for end in ends] == [("call_1", 1), ("call_1", 0)]
    asked = conversation.event("exec_approval_request")
    assert asked["reason"] == "command failed; retry without sandbox?"
    (question,) = conversation.questions
    assert isinstance(question, CommandQuestion)
    assert (question.reason, question.sandbox_failure) == (asked["reason"], "exit code 1")


def test_the_failure_is_announced_before_the_user_is_asked_about_a_retry(begin: Conversations) -> None:
    conversation = begin("/tmp", "on-failure", "workspace-write", [YES])
    conversation.run(**NEEDS_OUT)
    before = conversation.events[conversation.order.index("exec_approval_request") - 1]
    assert before["type"] == "background_event"
    assert str(before["message"]).startswith("Execution failed: ")


@pytest.mark.parametrize("policy", ["on-request", "never"])
def test_where_nobody_is_asked_the_model_gets_what_the_command_said(
    begin: Conversations, policy: ApprovalPolicy
) -> None:
    conversation = begin(policy=policy, mode="read-only")
    told = conversation.run(command=["sh", "-c", "echo early; echo Permission denied >&2; exit 1"])
    envelope = msgspec.json.decode(told.text, type=dict[str, object])
    assert sorted(str(envelope["output"]).splitlines()) == ["Permission denied", "early"]
    assert msgspec.convert(envelope["metadata"], dict[str, object])["exit_code"] == 1
    assert "background_event" not in conversation.order


def test_a_retry_that_is_denied_leaves_the_model_with_the_first_attempt(begin: Conversations) -> None:
    conversation = begin(policy="on-failure", mode="read-only", answers=[NO])
    told = conversation.run(command=["sh", "-c", "echo x: Permission denied >&2; exit 3"])
    assert not told.success
    assert '"exit_code":3' in told.text
    assert conversation.ways == (1, 0)


def test_an_abort_instead_of_a_retry_stops_the_turn(begin: Conversations) -> None:
    conversation = begin(policy="on-failure", mode="read-only", answers=[ABORT])
    with pytest.raises(asyncio.CancelledError):
        conversation.run(**NEEDS_OUT)
    assert conversation.ways == (1, 0)


def test_an_approved_retry_is_for_one_turn(begin: Conversations) -> None:
    conversation = begin(policy="on-failure", mode="read-only", answers=[YES, NO])
    assert conversation.run(**NEEDS_OUT).success
    conversation.context = replace(conversation.context, turn_id=TurnId("turn_2"))
    assert not conversation.run(**NEEDS_OUT).success
    assert conversation.ways == (2, 1)


@pytest.mark.parametrize("answer", [YES, NO])
def test_nobody_is_asked_twice_in_a_turn_about_the_same(begin: Conversations, answer: Decision) -> None:
    conversation = begin(policy="on-failure", mode="read-only", answers=[answer])
    ends = [conversation.run(**NEEDS_OUT).success for _ in range(3)]
    assert ends == [answer is YES] * 3
    assert len(conversation.questions) == 1


def test_another_directory_is_another_question(begin: Conversations) -> None:
    conversation = begin("/tmp", "on-failure", "read-only", [NO, NO])
    conversation.run(**NEEDS_OUT)
    conversation.run(**NEEDS_OUT, workdir="/")
    assert len(conversation.questions) == 2


def test_a_retry_approved_for_the_session_saves_the_next_attempt_in_the_sandbox(begin: Conversations) -> None:
    conversation = begin(policy="on-failure", mode="read-only", answers=[FOR_SESSION])
    assert conversation.run(**NEEDS_OUT).success
    assert conversation.run(**NEEDS_OUT).success
    assert conversation.ways == (1, 2)


def test_a_retry_that_fails_is_told_and_not_asked_about_again(begin: Conversations) -> None:
    conversation = begin(policy="on-failure", mode="read-only", answers=[YES])
    assert not conversation.run(command=["sh", "-c", "echo Permission denied; exit 1"]).success
    assert (len(conversation.questions), conversation.ways) == (1, (1, 1))


@pytest.mark.parametrize("command", [["sh", "-c", "exit 127"], ["no-such-program"], ["true"], []])
def test_what_no_sandbox_brings_about_is_not_asked_about(begin: Conversations, command: list[str]) -> None:
    conversation = begin(policy="on-failure", mode="read-only")
    conversation.run(command=command)
    assert conversation.questions == []


def test_without_a_sandbox_there_is_no_retry(begin: Conversations) -> None:
    conversation = begin(policy="on-failure", mode="danger-full-access")
    assert not conversation.run(command=["false"]).success
    assert conversation.ways == (0, 1)


# The user's rules

FACTS = CommandFacts("call_1", TurnId("t"), ("cat",), "/tmp")
RULES = Rules(
    (
        PrefixRule((("true",),)),
        PrefixRule((("cat",),)),
        PrefixRule((("false",),), "forbidden", "it fails"),
        PrefixRule((("printf",),), "prompt", "it prints"),
    )
)


@pytest.mark.parametrize(("policy", "mode"), ROWS)
def test_what_a_rule_allows_runs_without_a_question_and_without_the_sandbox(
    begin: Conversations, policy: ApprovalPolicy, mode: SandboxMode
) -> None:
    conversation = begin("/tmp", policy, mode, rules=RULES)
    assert conversation.run(command=["bash", "-c", "true && true"]).success
    assert conversation.ways == (0, 1)


@pytest.mark.parametrize(("policy", "mode"), ROWS)
def test_what_a_rule_forbids_runs_under_no_policy_and_the_model_is_told_the_reason(
    begin: Conversations, policy: ApprovalPolicy, mode: SandboxMode
) -> None:
    conversation = begin("/tmp", policy, mode, rules=RULES)
    told = conversation.run(command=["bash", "-c", "true && false"], with_escalated_permissions=True)
    assert told == ToolOutput(
        "exec command rejected: a rule of the user forbids commands that begin with `false`: it fails", success=False
    )
    assert conversation.ways == (0, 0)
    assert conversation.events == []


def test_what_a_rule_wants_asked_is_asked_with_its_reason_and_stays_in_the_sandbox(begin: Conversations) -> None:
    conversation = begin("/tmp", "on-request", "read-only", [NO, YES, FOR_SESSION], rules=RULES)
    assert not conversation.run(command=["printf", "x"]).success
    event = conversation.event("exec_approval_request")
    assert event["reason"] == "a rule requires approval for commands that begin with `printf`: it prints"
    assert conversation.run(command=["printf", "x"]).success
    assert conversation.run(command=["printf", "x"]).success
    assert conversation.run(command=["printf", "x"]).success, "it is not asked about again in this session"
    assert conversation.ways == (3, 0)


def test_what_a_rule_wants_asked_is_refused_where_nobody_may_be_asked(begin: Conversations) -> None:
    conversation = begin("/tmp", "never", "danger-full-access", rules=RULES)
    told = conversation.run(command=["printf", "x"])
    assert "a rule of the user requires approval for commands that begin with `printf`" in str(told.output)
    assert conversation.ways == (0, 0)


def test_under_never_no_text_reaches_a_command_that_a_rule_lets_run_outside(begin: Conversations) -> None:
    conversation = begin("/tmp", "never", "read-only", rules=RULES)
    with pytest.raises(ToolFailure, match=re.escape(INPUT_UNDER_NEVER)):
        asyncio.run(conversation.context.gate.admit_input(FACTS, "free"))
    asyncio.run(conversation.context.gate.admit_input(FACTS, "sandboxed"))
    assert conversation.questions == []
