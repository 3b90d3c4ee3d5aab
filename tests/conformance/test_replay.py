"""What clients of the reference said, said to Greenroom: the same comes back, but for what is listed as different."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from supervisor.demo.script import Action, Call, Command, Text, Usage, rule
from tests.conformance.differences import (
    ADDED_EVENTS,
    EVENT_IDS,
    INPUTS_BEFORE,
    META_ADDED,
    MISSING_EVENTS,
    MISSING_FIELDS,
    RESULT_ADDED,
)
from tests.conformance.oracle import Oracle
from tests.conformance.samples import FIRST_PROMPT, SAMPLES, SECOND_PROMPT, IdForm, Sample, Scenario, Turn
from tests.support.client import Client, Message, RequestId, text
from tests.support.model import Model, inputs
from tests.support.stage import Stage

USAGE = Usage(10, 4, 5, 2)
PROMPTS = (FIRST_PROMPT, SECOND_PROMPT)
PLAN = [{"step": "read", "status": "completed"}, {"step": "write", "status": "in_progress"}]
FIRST_ACTIONS: Mapping[Scenario, Action] = {
    "command": Command(("echo", "hi")),
    "command approved": Command(("touch", "new.txt")),
    "plan": Call("update_plan", {"explanation": "start", "plan": PLAN}),
}
"""What the model did before it answered."""
ARGUMENTS: Mapping[Scenario, Mapping[str, object]] = {
    "command approved": {"approval-policy": "untrusted"},  # as the file of the recorded home had it
    "plan": {"include-plan-tool": True},
}
CLIENT = {"name": "harness", "version": "1"}
INITIALIZE = {"protocolVersion": "2025-06-18", "capabilities": {"elicitation": {}}, "clientInfo": CLIENT}
LATER_OUTPUT = re.compile(
    r"Chunk ID: [0-9a-f]{6}\nWall time: \d\.\d{4} seconds\nProcess exited with code 0\n"
    r"Original token count: 1\nOutput:\nhi\n"
)
"""What the reference tells the model of a command."""
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def play(stage: Stage, sample: Sample) -> Model:
    """Make the model say what it said in the recording."""
    steps: dict[str, list[list[Action]]] = {
        prompt: [[USAGE, Text(turn.answer)]] for prompt, turn in zip(PROMPTS, sample.turns, strict=False)
    }
    if (action := FIRST_ACTIONS.get(sample.scenario)) is not None:
        steps[FIRST_PROMPT].insert(0, [USAGE, action])
    return stage.play(*(rule(prompt, *steps[prompt]) for prompt in reversed(steps)))


def replay(stage: Stage, client: Client, sample: Sample) -> list[tuple[Turn, RequestId, Message]]:
    """Say what the client said; return each turn with its call and its result."""
    info = client.result(client.request("initialize", INITIALIZE, 1))["serverInfo"]
    assert set(info) >= sample.wire.server_info
    client.notify("notifications/initialized")
    listed = client.result(client.request("tools/list", {}, 2))["tools"]
    assert set(listed[0]["inputSchema"]["properties"]) >= sample.wire.arguments
    assert sample.wire.reply_id in listed[1]["inputSchema"]["properties"]
    played: list[tuple[Turn, RequestId, Message]] = []
    arguments: dict[str, Any] = {"cwd": stage.cwd, **ARGUMENTS.get(sample.scenario, {})}
    for number, (prompt, turn) in enumerate(zip(PROMPTS, sample.turns, strict=False), start=3):
        params = {"name": turn.tool, "arguments": {**arguments, "prompt": prompt}}
        client.request("tools/call", params, number)
        if sample.scenario == "command approved":
            question = client.until(lambda message: message.get("method") == "elicitation/create")
            client.send({"id": question["id"], "result": {"decision": "approved"}})
        result = client.result(number)
        played.append((turn, number, result))
        thread = client.event(3, "session_configured")["session_id"]
        arguments = {sample.wire.reply_id: thread}
    return played


def form_of(event_id: str, call: RequestId) -> IdForm:
    if event_id == str(call):
        return "request"
    return "uuid7" if UUID7.fullmatch(event_id) else "counter"


def without(names: list[str], left_out: object) -> list[str]:
    assert hasattr(left_out, "__contains__")
    return [name for name in names if name not in left_out]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.release}-{sample.scenario}".replace(" ", "-"))
def test_a_recorded_client_gets_what_it_got(stage: Stage, engine: str, sample: Sample) -> None:
    model = play(stage, sample)
    client = stage.start("--engine", engine).client
    oracle = Oracle("2025-06-18")
    for turn, call, result in replay(stage, client, sample):
        assert text(result) == turn.answer
        assert_same_events(sample, turn, client, call)
        assert set(result) == turn.result | set(RESULT_ADDED[sample.release])
        oracle.sent({"method": "tools/call", "id": call})
    oracle.sent({"method": "initialize", "id": 1})
    oracle.sent({"method": "tools/list", "id": 2})
    oracle.judge_all(client.messages)
    assert_same_inputs(sample, model)


def assert_same_events(sample: Sample, turn: Turn, client: Client, call: RequestId) -> None:
    release = sample.release
    told = [event["type"] for event in client.all_events(call)]
    recorded = [kind for kind, _ in turn.events]
    assert without(told, ADDED_EVENTS[release]) == without(recorded, MISSING_EVENTS[release])
    assert not set(MISSING_EVENTS[release]) & set(told), "a difference that is none any more"
    for kind, fields in turn.events:
        expected = {field for field in fields if (kind, field) not in MISSING_FIELDS[release]}
        for event in client.all_events(call):
            if event["type"] == kind:
                assert set(event) >= expected
                stale = {field for field in fields - expected if field in event}
                assert not stale, "a difference that is none any more"
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
    play(stage, SAMPLES[0])
    client = stage.start().client
    replay(stage, client, SAMPLES[0])
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
    (sample,) = [sample for sample in SAMPLES if (sample.release, sample.scenario) == ("0.25.0", "command")]
    play(stage, sample)
    client = stage.start().client
    replay(stage, client, sample)
    assert client.event(3, "exec_command_output_delta")["chunk"] == "aGkK"
    begin = client.event(3, "exec_command_begin")
    assert begin["cwd"] == stage.cwd
    assert begin["command"] == ["echo", "hi"]
    end = client.event(3, "exec_command_end")
    assert (end["stdout"], end["aggregated_output"], end["exit_code"]) == ("hi\n", "hi\n", 0)


def test_a_model_of_2026_gets_the_later_command_tool_and_its_events(stage: Stage) -> None:
    (sample,) = [sample for sample in SAMPLES if (sample.release, sample.scenario) == ("0.153.4", "command")]
    model = play(stage, sample)
    client = stage.start("-c", 'model="gpt-5.5"', HOME=stage.cwd).client
    replay(stage, client, sample)
    recorded = dict(sample.turns[0].events)
    begin, end = (client.event(3, kind) for kind in ("exec_command_begin", "exec_command_end"))
    assert set(begin) >= recorded["exec_command_begin"]
    assert set(end) >= recorded["exec_command_end"]
    assert begin["command"] == ["bash", "-lc", "echo hi"]
    assert begin["process_id"] == end["process_id"]
    (output,) = [item["output"] for item in inputs(model.requests()[1]) if item["type"] == "function_call_output"]
    assert LATER_OUTPUT.fullmatch(output)
