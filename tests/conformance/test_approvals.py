"""Commands are run, confined, asked for or refused as the table says, whatever the client can do and says."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from mcp import Client
from mcp.client.session import ClientRequestContext, ElicitationFnT
from mcp.client.stdio import StdioServerParameters
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, ErrorData, Implementation, TextContent

from greenroom.demo.script import Call, PatchStep, Quote, ScriptRule, Text, rule
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK, too_late
from greenroom.workers.approval.decision import COMMANDS, ESCALATION_REFUSED, Case
from tests.conformance.tap import Tap
from tests.conformance.test_official_client import Events
from tests.support.client import Client as RawClient
from tests.support.client import Message, RequestId, kind, kinds, text, thread_id
from tests.support.stage import Stage

REJECTED = "exec command rejected by user"
COULD_NOT = f"{REJECTED}: the client could not ask the user"
CASES: list[Case] = ["harmless", "unknown", "escalated"]
COMBINATIONS = [(policy, mode, case) for policy, mode in COMMANDS for case in CASES]
ROOTS = "\n[sandbox_workspace_write]\nexclude_slash_tmp = true\nexclude_tmpdir_env_var = true\n"
PATCH = "*** Begin Patch\n*** Add File: new.txt\n+hello\n*** End Patch"
FREE, CONFINED = "free", "confined"

Answer: TypeAlias = ElicitResult | ErrorData
Combination: TypeAlias = tuple[ApprovalPolicy, SandboxMode, Case]
Scene = Callable[[Client, Events], Awaitable[None]]


def rules(stage: Stage) -> list[ScriptRule]:
    """Return turns that run commands which say whether they are confined: nothing confined reads `auth.json*`."""
    probe = stage.home.path / "auth.json.probe"
    probe.write_text(FREE)
    harmless, unknown = (["bash", "-c", f"{more}cat {probe} || echo {CONFINED}"] for more in ("", "x=1; "))
    out = {"with_escalated_permissions": True, "justification": "it has to"}
    return [
        rule("harmless", [Call("shell", {"command": harmless})], [Quote()]),
        rule("unknown", [Call("shell", {"command": unknown})], [Quote()]),
        rule("escalated", [Call("shell", {"command": unknown, **out})], [Quote()]),
        rule("fail inside", [Call("shell", {"command": ["bash", "-c", f"x=1; cat {probe}"]})], [Quote()]),
        rule("patch", [PatchStep(PATCH)], [Quote()]),
        rule("hello", [Text("Good day.")]),
    ]


def play(stage: Stage, top: str = "", greenroom: str = "") -> None:
    stage.play(*rules(stage), top=top, more=ROOTS + greenroom)


def expected(policy: ApprovalPolicy, mode: SandboxMode, case: Case) -> str:
    """Return the table's verdict. Where there is no sandbox nothing can be escalated."""
    row = COMMANDS[policy, mode]
    return row.get(case) or row["unknown"]


class User:
    """Gives the official client's answers, the last one over and over, and remembers the questions."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.questions: list[ElicitRequestParams] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> Answer:
        self.questions.append(params)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def converse(stage: Stage, scene: Scene, elicitation: ElicitationFnT | None) -> Tap:
    """Play a scene between the official client and a server; return what was said."""
    command, *words = stage.command("mcp-server", "--engine", "fork")
    parameters = StdioServerParameters(command=command, args=words, env=stage.environment(), cwd=stage.cwd)
    tap, events = Tap(), Events()

    async def run() -> None:
        with stage.log.open("a") as log:
            transport = tap.transport(parameters, log)
            me = Implementation(name="promises", version="1")
            async with Client(
                transport, mode="legacy", extensions=[events], client_info=me, elicitation_callback=elicitation
            ) as client:
                await scene(client, events)

    asyncio.run(run())
    assert tap.unreadable == []
    return tap


def questions_in(tap: Tap) -> list[dict[str, Any]]:
    return [message for message in tap.received if message.get("method") == "elicitation/create"]


def background_in(tap: Tap) -> list[str]:
    told = [message["params"]["msg"] for message in tap.received if message.get("method") == "codex/event"]
    return [event["message"] for event in told if event["type"] == "background_event"]


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def outcome_of(told: str) -> str:
    """Return whether a command said that it was free or confined, or what the model was told in its place.

    The complaint of `cat` comes through another pipe in several pieces, so one of them may stand before the word.
    """
    return next((word for line in told.splitlines() for word in (FREE, CONFINED) if line.endswith(word)), told)


def said(result: CallToolResult) -> str:
    assert not result.is_error
    return outcome_of(text_of(result))


async def outcomes_of(client: Client, stage: Stage, combinations: list[Combination]) -> dict[Combination, str]:
    """Try combinations, each in a conversation of its own; return what each came to."""
    outcomes = {}
    for policy, mode, case in combinations:
        arguments = {"prompt": case, "cwd": stage.cwd, "approval-policy": policy, "sandbox": mode}
        outcomes[policy, mode, case] = said(await client.call_tool("codex", arguments))
    return outcomes


def by_the_table(when_asked: str) -> dict[Combination, str]:
    words = {"run": FREE, "sandboxed": CONFINED, "read-only": CONFINED, "refuse": ESCALATION_REFUSED, "ask": when_asked}
    return {combination: words[expected(*combination)] for combination in COMBINATIONS}


ASKED = [combination for combination in COMBINATIONS if expected(*combination) == "ask"]


def test_every_combination_is_as_the_table_says(stage: Stage) -> None:
    play(stage)
    user = User(ElicitResult(action="accept"))

    async def scene(client: Client, events: Events) -> None:
        assert await outcomes_of(client, stage, COMBINATIONS) == by_the_table(FREE)

    asked = questions_in(converse(stage, scene, user))
    assert len(user.questions) == len(asked) == len(ASKED)
    assert len({question["params"]["codex_mcp_tool_call_id"] for question in asked}) == len(ASKED)


def test_every_combination_is_as_the_table_says_for_a_client_that_cannot_ask(stage: Stage) -> None:
    play(stage)

    async def scene(client: Client, events: Events) -> None:
        told = f"{REJECTED}: {CANNOT_ASK.reason}"
        assert await outcomes_of(client, stage, COMBINATIONS) == by_the_table(told)

    tap = converse(stage, scene, None)
    assert questions_in(tap) == []
    assert len(background_in(tap)) == len(ASKED)
    assert all("cannot ask" in told for told in background_in(tap))


def test_what_is_asked_and_declined_does_not_run(stage: Stage) -> None:
    play(stage)

    async def scene(client: Client, events: Events) -> None:
        assert await outcomes_of(client, stage, ASKED) == dict.fromkeys(ASKED, REJECTED)

    tap = converse(stage, scene, User(ElicitResult(action="decline")))
    told = [message["params"]["msg"]["type"] for message in tap.received if message.get("method") == "codex/event"]
    assert "exec_command_begin" not in told


ANSWERS: list[tuple[Answer, str]] = [
    (ElicitResult(action="accept", content={}), FREE),
    (ElicitResult(action="accept", content={"decision": "approved"}), FREE),
    (ElicitResult(action="accept", content={"decision": "approved_for_session"}), FREE),
    (ElicitResult(action="accept", content={"decision": "denied"}), REJECTED),
    (ElicitResult(action="accept", content={"other": "approved"}), FREE),
    (ElicitResult(action="cancel"), REJECTED),
    (ErrorData(code=-32603, message="no user here"), COULD_NOT),
]


def test_what_the_official_client_can_answer_is_understood(stage: Stage) -> None:
    play(stage)
    user = User(*(answer for answer, _ in ANSWERS))

    async def scene(client: Client, events: Events) -> None:
        arguments = {"prompt": "unknown", "approval-policy": "untrusted", "sandbox": "read-only"}
        for answer, outcome in ANSWERS:
            assert said(await client.call_tool("codex", arguments)) == outcome, answer

    converse(stage, scene, user)
    assert len(user.questions) == len(ANSWERS)
    assert all(question.message.startswith("Allow Codex to run `bash -c ") for question in user.questions)


def test_a_pending_approval_is_withdrawn_when_its_call_is_cancelled(stage: Stage) -> None:
    play(stage)
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def think(context: ClientRequestContext, params: ElicitRequestParams) -> Answer:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            let_go.set()
            raise
        raise AssertionError("unreachable")

    async def scene(client: Client, events: Events) -> None:
        arguments = {"prompt": "unknown", "approval-policy": "untrusted"}
        call = asyncio.create_task(client.call_tool("codex", arguments))
        async with asyncio.timeout(20):
            await asked.wait()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await let_go.wait()
        await events.until("turn_aborted")
        assert text_of(await client.call_tool("codex", {"prompt": "hello"})) == "Good day."

    tap = converse(stage, scene, think)
    (question,) = questions_in(tap)
    withdrawn = [message["params"] for message in tap.received if message.get("method") == "notifications/cancelled"]
    assert withdrawn == [{"requestId": question["id"], "reason": "the call has ended"}]


# What only other clients say


def serve(stage: Stage, **capabilities: object) -> RawClient:
    client = stage.start("--engine", "fork").client
    client.initialize(capabilities=capabilities or {"elicitation": {}})
    return client


def next_question(client: RawClient, count: int = 1) -> Message:
    """Return the question with this number, counted from 1."""
    return client.until(lambda message: message.get("method") == "elicitation/create" and message["id"] == count - 1)


def asking(
    client: RawClient, prompt: str = "unknown", policy: ApprovalPolicy = "untrusted"
) -> tuple[RequestId, Message]:
    """Call for something that needs consent; return the call and the question."""
    call = client.codex(prompt, approval_policy=policy, sandbox="workspace-write")
    return call, next_question(client)


REPLIES: list[tuple[dict[str, object], str]] = [
    ({"result": {"decision": "approved"}}, FREE),
    ({"result": {"decision": "approved_for_session"}}, FREE),
    ({"result": {"decision": {"approved_execpolicy_amendment": {"proposed_execpolicy_amendment": ["x"]}}}}, FREE),
    ({"result": {"action": "accept"}}, FREE),
    ({"result": {"action": "accept", "decision": "denied"}}, REJECTED),
    ({"result": {"action": "decline"}}, REJECTED),
    ({"result": {"action": "cancel"}}, REJECTED),
    ({"result": {"decision": "denied"}}, REJECTED),
    ({"result": {"decision": {"denied": {"rejection": "use make"}}}}, f"{REJECTED}: use make"),
    ({"result": {"decision": "sure"}}, REJECTED),
    ({"result": None}, REJECTED),
    ({"result": "approved"}, REJECTED),
    ({"error": {"code": -32601, "message": "?"}}, COULD_NOT),
    ({"error": None}, COULD_NOT),
]


def spoken(result: Message) -> str:
    return outcome_of(text(result))


def test_what_any_client_can_answer_is_understood(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    for count, (reply, outcome) in enumerate(REPLIES, 1):
        call = client.codex("unknown", approval_policy="untrusted")
        client.send({"id": next_question(client, count)["id"], **reply})
        assert spoken(client.result(call)) == outcome, reply


def test_an_answer_that_is_also_an_error_is_a_no(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    call, question = asking(client)
    client.send({"id": question["id"], "result": {"decision": "approved"}, "error": {"code": 1, "message": "?"}})
    assert spoken(client.result(call)).startswith(REJECTED)


def test_a_question_has_the_agreed_shape(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    call, question = asking(client, "escalated", "on-request")
    event = client.event(call, "exec_approval_request")
    assert event["reason"] == "it has to"
    params = question["params"]
    assert params.pop("message").startswith("Allow Codex to run `bash -c 'x")
    assert params == {
        "requestedSchema": {"type": "object", "properties": {}},
        "codex_elicitation": "exec-approval",
        "codex_mcp_tool_call_id": str(call),
        "codex_event_id": str(call),
        "codex_call_id": event["call_id"],
        "codex_command": event["command"],
        "codex_cwd": event["cwd"],
        "codex_parsed_cmd": event["parsed_cmd"],
        "threadId": client.event(call, "session_configured")["thread_id"],
    }
    order = [message.get("method") for message in client.messages]
    assert order[-1] == "elicitation/create", "the question follows its event"


def test_a_patch_is_asked_for_with_its_changes(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    call = client.codex("patch", approval_policy="untrusted", sandbox="workspace-write", cwd=stage.cwd)
    params = next_question(client)["params"]
    changes = {f"{stage.cwd}/new.txt": {"type": "add", "content": "hello\n"}}
    assert (params["codex_elicitation"], params["codex_changes"]) == ("patch-approval", changes)
    assert params["message"] == "Allow Codex to apply proposed code changes?"
    assert client.event(call, "apply_patch_approval_request")["changes"] == changes
    assert not (stage.workspace / "new.txt").exists()
    client.send({"id": 0, "result": {"decision": "approved"}})
    assert text(client.result(call)) == "Success. Updated the following files:\nA new.txt"
    assert (stage.workspace / "new.txt").read_text() == "hello\n"
    applied = [name for name in kinds(client.events(call)) if name.startswith("patch_apply") or name == "turn_diff"]
    assert applied[:3] == ["patch_apply_begin", "patch_apply_end", "turn_diff"]


def test_what_is_approved_for_the_session_is_not_asked_again_in_it(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    call, question = asking(client)
    client.send({"id": question["id"], "result": {"decision": "approved_for_session"}})
    thread = thread_id(client.result(call))
    assert spoken(client.result(client.reply(thread, "unknown"))) == FREE
    other = client.codex("unknown", approval_policy="untrusted")
    client.send({"id": next_question(client, 2)["id"], "result": {"action": "decline"}})
    assert spoken(client.result(other)) == REJECTED


def test_a_failure_in_the_sandbox_is_tried_again_with_consent(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    call, question = asking(client, "fail inside", "on-failure")
    assert client.event(call, "exec_approval_request")["reason"] == "command failed; retry without sandbox?"
    client.send({"id": question["id"], "result": {"action": "accept"}})
    assert spoken(client.result(call)) == FREE
    ends = [event for event in client.events(call) if event["type"] == "exec_command_end"]
    assert [(end["exit_code"], end["call_id"]) for end in ends] == [(1, ends[0]["call_id"]), (0, ends[0]["call_id"])]
    told = [event["message"] for event in client.events(call) if event["type"] == "background_event"]
    assert told == ["Execution failed: exit code 1", "retrying command without sandbox"]


def test_an_abort_ends_the_turn_and_answers_the_call(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    call, question = asking(client)
    client.send({"id": question["id"], "result": {"decision": "abort"}})
    result = client.result(call)
    assert (kind(result), text(result)) == ("turn_aborted", "Turn aborted: interrupted")
    assert kinds(client.events(call))[-1] == "turn_aborted"
    assert text(client.result(client.reply(thread_id(result), "hello"))) == "Good day."


def test_a_cancelled_call_withdraws_its_question_before_its_answer(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    call, question = asking(client)
    client.cancel(call)
    result = client.result(call)
    assert kind(result) == "turn_aborted"
    withdrawn = client.until(lambda message: message.get("method") == "notifications/cancelled")
    assert withdrawn["params"]["requestId"] == question["id"]
    assert client.messages[-1]["id"] == call
    client.send({"id": question["id"], "result": {"decision": "approved"}})
    assert text(client.result(client.reply(thread_id(result), "hello"))) == "Good day."
    assert "exec_command_begin" not in kinds(client.events(call)), "a late answer runs nothing"


@pytest.mark.parametrize(("prompt", "rejected"), [("unknown", REJECTED), ("patch", "patch rejected by user")])
def test_a_question_that_nobody_answers_ends_by_itself(stage: Stage, prompt: str, rejected: str) -> None:
    play(stage, greenroom="\n[greenroom]\napproval_timeout_s = 0.05\n")
    client = serve(stage)
    call, question = asking(client, prompt)
    assert text(client.result(call)) == f"{rejected}: {too_late(0.05).reason}"
    withdrawn = client.until(lambda message: message.get("method") == "notifications/cancelled")
    assert withdrawn["params"]["requestId"] == question["id"]
    assert not (stage.workspace / "new.txt").exists()


def test_a_client_that_never_introduced_itself_is_asked(stage: Stage) -> None:
    play(stage)
    client = stage.start("--engine", "fork").client
    call, question = asking(client)
    client.send({"id": question["id"], "result": {"decision": "approved"}})
    assert spoken(client.result(call)) == FREE


def test_a_client_that_leaves_while_it_is_asked_leaves_nothing_behind(stage: Stage) -> None:
    play(stage)
    asking(serve(stage))
    assert stage.servers[-1].leave() == 0
    assert stage.left_over() == []
