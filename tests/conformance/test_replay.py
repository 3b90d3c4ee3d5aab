"""What clients of the reference said, said to Greenroom: the same comes back, but for what is listed as different."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from greenroom.demo.script import Call, CommandStep, FailStep, PatchStep, ScriptedAction, ScriptedUsage, Text, rule
from tests.conformance.differences import (
    ADDED_IN,
    ANSWERS,
    EVENT_IDS,
    INPUTS_BEFORE,
    META_ADDED,
    MISSING_EVENTS,
    MISSING_FIELDS,
    QUESTION_ADDED,
    QUESTION_OF_ITS_OWN,
    added_events,
    added_to_result,
)
from tests.conformance.oracle import Oracle
from tests.conformance.samples import (
    FIRST_PROMPT,
    SAMPLES,
    SECOND_PROMPT,
    IdForm,
    Release,
    Sample,
    Scenario,
    Turn,
    recording,
)
from tests.support.client import Client, Message, RequestId, text
from tests.support.model import Model, inputs
from tests.support.stage import Stage

USAGE = ScriptedUsage(10, 4, 5, 2)
PROMPTS = (FIRST_PROMPT, SECOND_PROMPT)
PLAN = [{"step": "read", "status": "completed"}, {"step": "write", "status": "in_progress"}]
PATCH = "*** Begin Patch\n*** Update File: greeting.txt\n@@\n-hello\n+hello world\n*** End Patch\n"
ESCALATED = {"cmd": "touch new.txt", "sandbox_permissions": "require_escalated", "justification": "needs to write"}
PLANNED = Call("update_plan", {"explanation": "start", "plan": PLAN})
REFUSED = FailStep(400, '{"error": {"message": "bad request", "type": "invalid_request_error"}}')
FIRST_ACTIONS: Mapping[Release, Mapping[Scenario, ScriptedAction]] = {
    "0.25.0": {
        "command": CommandStep(("echo", "hi")),
        "command approved": CommandStep(("touch", "new.txt")),
        "command denied": CommandStep(("touch", "new.txt")),
        "patch approved": CommandStep(("apply_patch", PATCH)),
        "patch automatic": CommandStep(("apply_patch", PATCH)),
        "plan": PLANNED,
        "cancelled": CommandStep(("sleep", "20")),
        "model error": REFUSED,
    },
    "0.153.4": {
        "command": Call("exec_command", {"cmd": "echo hi"}),
        "command approved": Call("exec_command", ESCALATED),
        "command denied": Call("exec_command", ESCALATED),
        "patch approved": PatchStep(PATCH),
        "patch automatic": PatchStep(PATCH),
        "plan": PLANNED,
        "cancelled": Call("exec_command", {"cmd": "sleep 20"}),
        "model error": REFUSED,
    },
}
"""What the model did before it answered."""
MODELS: Mapping[Release, str] = {"0.25.0": "scripted", "0.153.4": "gpt-5.5"}
"""Models that are offered the tools of the recording: `shell`, or `exec_command` and the tool for patches as text."""
ASKING: Mapping[Release, Mapping[str, str]] = {
    "0.25.0": {"approval-policy": "untrusted", "sandbox": "workspace-write"},
    "0.153.4": {"approval-policy": "on-request", "sandbox": "read-only"},
}
"""What the file of the recorded home said where the user is asked."""
DECISIONS: Mapping[Scenario, str] = {
    "command approved": "approved",
    "command denied": "denied",
    "patch approved": "approved",
}
CLIENT = {"name": "harness", "version": "1"}
INITIALIZE = {"protocolVersion": "2025-06-18", "capabilities": {"elicitation": {}}, "clientInfo": CLIENT}
LATER_OUTPUT = re.compile(
    r"Chunk ID: [0-9a-f]{6}\nWall time: \d\.\d{4} seconds\nProcess exited with code 0\n"
    r"Original token count: 1\nOutput:\nhi\n"
)
"""What the reference tells the model of a command."""
STALE = "a difference that is none any more"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def arguments_of(sample: Sample, cwd: str) -> dict[str, Any]:
    asking = ASKING[sample.release] if sample.scenario in DECISIONS else {}
    planning = {"include-plan-tool": True} if (sample.release, sample.scenario) == ("0.25.0", "plan") else {}
    return {"cwd": cwd, **asking, **planning}


def play(stage: Stage, sample: Sample, *more: str) -> Client:
    """Make the model say what it said in the recording, and start a server with further arguments."""
    steps: dict[str, list[list[ScriptedAction]]] = {
        prompt: [[USAGE, Text(turn.answer)]] for prompt, turn in zip(PROMPTS, sample.turns, strict=False)
    }
    match FIRST_ACTIONS[sample.release].get(sample.scenario):
        case FailStep() as refusal:
            steps[FIRST_PROMPT] = [[refusal]]
        case action if action is not None:
            steps[FIRST_PROMPT].insert(0, [USAGE, action])
    stage.play(*(rule(prompt, *steps[prompt]) for prompt in reversed(steps)))
    (stage.workspace / "greeting.txt").write_text("hello\n")
    home = {"HOME": stage.cwd}  # whose profile a login shell reads
    return stage.start(*more, "-c", f'model="{MODELS[sample.release]}"', **home).client


def replay(stage: Stage, client: Client, sample: Sample) -> list[tuple[Turn, RequestId, Message]]:
    """Say what the client said; return each turn with its call and the result."""
    info = client.result(client.request("initialize", INITIALIZE, 1))["serverInfo"]
    assert set(info) >= sample.wire.server_info
    client.notify("notifications/initialized")
    listed = client.result(client.request("tools/list", {}, 2))["tools"]
    assert set(listed[0]["inputSchema"]["properties"]) >= sample.wire.arguments
    assert sample.wire.reply_id in listed[1]["inputSchema"]["properties"]
    played: list[tuple[Turn, RequestId, Message]] = []
    arguments = arguments_of(sample, stage.cwd)
    for number, (prompt, turn) in enumerate(zip(PROMPTS, sample.turns, strict=False), start=3):
        params = {"name": turn.tool, "arguments": {**arguments, "prompt": prompt}}
        client.request("tools/call", params, number)
        if sample.scenario == "cancelled":
            client.event(number, "exec_command_begin")
            client.cancel(number)
        if sample.scenario in DECISIONS:
            question = client.until(lambda message: message.get("method") == "elicitation/create")
            client.send({"id": question["id"], "result": {"decision": DECISIONS[sample.scenario]}})
        result = client.result(number)
        played.append((turn, number, result))
        thread = client.event(3, "session_configured")["session_id"]
        arguments = {sample.wire.reply_id: thread}
    return played


def form_of(event_id: str, call: RequestId) -> IdForm:
    if event_id == str(call):
        return "request"
    return "uuid7" if UUID7.fullmatch(event_id) else "counter"


def is_in_order(wanted: Iterable[object], found: Iterable[object]) -> bool:
    """Tell whether all that is wanted is found in this order, with or without something between."""
    rest = iter(found)
    return all(one in rest for one in wanted)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.release}-{sample.scenario}".replace(" ", "-"))
def test_a_recorded_client_gets_what_it_got(stage: Stage, engine: str, sample: Sample) -> None:
    client = play(stage, sample, "--engine", engine)
    oracle = Oracle("2025-06-18")
    for turn, call, result in replay(stage, client, sample):
        assert_same_events(sample, turn, client, call)
        assert_same_result(sample, turn, result)
        assert_same_question(sample, turn, client)
        oracle.sent({"method": "tools/call", "id": call})
    oracle.sent({"method": "initialize", "id": 1})
    oracle.sent({"method": "tools/list", "id": 2})
    oracle.judge_all(client.messages)
    assert_same_inputs(sample, stage.model)


def assert_same_result(sample: Sample, turn: Turn, result: Message) -> None:
    if (different := ANSWERS.get(sample.scenario)) is None:
        assert text(result) == turn.answer
    else:
        assert text(result) != turn.answer, STALE
        assert text(result).startswith(different[0])
    added = added_to_result(sample)
    assert not added & turn.result, STALE
    assert set(result) == turn.result | added


def assert_same_question(sample: Sample, turn: Turn, client: Client) -> None:
    asked = [message["params"] for message in client.messages if message.get("method") == "elicitation/create"]
    if (sample.release, sample.scenario) in QUESTION_OF_ITS_OWN:
        assert not turn.question
        assert asked
    elif turn.question:
        (params,) = asked
        assert set(params) == turn.question | set(QUESTION_ADDED.get((sample.release, sample.scenario), ()))
    else:
        assert not asked


def assert_same_events(sample: Sample, turn: Turn, client: Client, call: RequestId) -> None:
    release = sample.release
    told = [event["type"] for event in client.all_events(call)]
    wanted = [kind for kind, _ in turn.events if kind not in MISSING_EVENTS[release]]
    assert is_in_order(wanted, told)
    added = set(Counter(told) - Counter(wanted))
    assert added <= added_events(sample)
    assert added >= set(ADDED_IN.get((release, sample.scenario), ())), STALE
    assert not set(MISSING_EVENTS[release]) & set(told), STALE
    for kind, fields in turn.events:
        expected = {field for field in fields if (kind, field) not in MISSING_FIELDS[release]}
        for event in client.all_events(call):
            if event["type"] == kind:
                assert set(event) >= expected
                stale = {field for field in fields - expected if field in event}
                assert not stale, STALE
    for message in client.notifications(call):
        params = message["params"]
        assert set(params["_meta"]) == sample.wire.meta | set(META_ADDED[release])
        if params["msg"]["type"] in ("session_configured", "mcp_startup_complete"):
            assert params["id"] == ""
        else:
            form, _ = EVENT_IDS.get((turn.tool, turn.event_id), (turn.event_id, ""))
            assert form_of(params["id"], call) == form


def assert_same_inputs(sample: Sample, model: Model) -> None:
    before, _ = INPUTS_BEFORE[sample.release]
    *_, last = model.requests()
    found = tuple(str(item.get("role") or item["type"]) for item in inputs(last))
    assert found == (*before, *sample.turns[-1].inputs)


def test_the_numbers_of_tokens_are_those_of_both_forms(stage: Stage) -> None:
    sample = recording("0.25.0", "simple turn and reply")
    client = play(stage, sample)
    replay(stage, client, sample)
    first, second = (client.event(call, "token_count") for call in (3, 4))
    flat = {
        "input_tokens": 10,
        "cached_input_tokens": 4,
        "output_tokens": 5,
        "reasoning_output_tokens": 2,
        "total_tokens": 15,
    }
    assert first.items() >= flat.items()
    assert second.items() >= flat.items(), "the flat numbers are those of the last response"
    assert first["info"]["total_token_usage"].items() >= flat.items()
    assert second["info"]["last_token_usage"].items() >= flat.items()
    assert second["info"]["total_token_usage"]["total_tokens"] == 30


def test_output_is_told_in_base64_and_the_directory_as_a_path(stage: Stage) -> None:
    sample = recording("0.25.0", "command")
    client = play(stage, sample)
    replay(stage, client, sample)
    assert client.event(3, "exec_command_output_delta")["chunk"] == "aGkK"
    begin = client.event(3, "exec_command_begin")
    assert begin["cwd"] == stage.cwd
    assert begin["command"] == ["echo", "hi"]
    end = client.event(3, "exec_command_end")
    assert (end["stdout"], end["aggregated_output"], end["exit_code"]) == ("hi\n", "hi\n", 0)


def test_a_model_of_2026_gets_the_later_command_tool_and_its_events(stage: Stage) -> None:
    sample = recording("0.153.4", "command")
    client = play(stage, sample)
    replay(stage, client, sample)
    recorded = dict(sample.turns[0].events)
    begin, end = (client.event(3, kind) for kind in ("exec_command_begin", "exec_command_end"))
    assert set(begin) >= recorded["exec_command_begin"]
    assert set(end) >= recorded["exec_command_end"]
    assert begin["command"] == ["bash", "-lc", "echo hi"]
    assert begin["process_id"] == end["process_id"]
    (output,) = [item["output"] for item in inputs(stage.model.requests()[1]) if item["type"] == "function_call_output"]
    assert LATER_OUTPUT.fullmatch(output)
