"""A conversation with tool calls and a compaction goes the same way over both APIs, as a client sees it."""

import pytest

from greenroom.demo.script import Call, CommandStep, Quote, ReasoningStep, ScriptedUsage, Text, rule
from tests.support.client import kinds, text, thread_id
from tests.support.home import records
from tests.support.stage import Stage

WIRE_APIS = ("responses", "chat")
PLAN = {"plan": [{"step": "look", "status": "in_progress"}]}
LOOK = rule(
    "look around",
    [
        ReasoningStep("Where am I?"),
        Text(("I will ", "look.")),
        Call("update_plan", PLAN),
        CommandStep(("echo", "here")),
    ],
    [Quote("It said ")],
)
AGAIN = rule("and now", [Text("Still here.")])
SUM_UP = rule("Sum up!", [Text("All was fine.")])
AFTER = rule("All was fine.", [Text("Done.")])
LIMITED = 'model_auto_compact_token_limit = 50000\ncompact_prompt = "Sum up!"'


@pytest.mark.parametrize("wire_api", WIRE_APIS)
def test_tools_are_called_and_the_next_message_goes_on(stage: Stage, wire_api: str) -> None:
    stage.play(AGAIN, LOOK, wire_api=wire_api)
    client = stage.serve("fork").client
    call = client.codex("look around", cwd=stage.cwd, **{"include-plan-tool": True})
    result = client.result(call)
    assert text(result) == "It said here"
    events = kinds(client.events(call))
    assert {"agent_message_delta", "plan_update", "exec_command_begin", "exec_command_end"} <= set(events)
    assert events.count("token_count") == 2
    assert text(client.result(client.reply(thread_id(result), "and now?"))) == "Still here."


@pytest.mark.parametrize("wire_api", WIRE_APIS)
def test_history_is_compacted_in_the_middle_of_a_turn_and_a_later_run_goes_on(stage: Stage, wire_api: str) -> None:
    full = rule("work", [CommandStep(("true",)), ScriptedUsage(60_000, 0, 10, 0)])
    stage.play(AGAIN, SUM_UP, AFTER, full, top=LIMITED, wire_api=wire_api)
    server = stage.serve("fork")
    call = server.client.codex("work", cwd=stage.cwd)
    result = server.client.result(call)
    assert text(result) == "Done."
    events = kinds(server.client.events(call))
    assert events.index("exec_command_end") < events.index("context_compacted") < events.index("agent_message")
    written = [kind for kind, _ in records(stage.home.session(thread_id(result)))]
    assert written[written.index("compacted") + 1] == "turn_context"
    assert server.leave() == 0

    client = stage.serve("fork").client
    assert text(client.result(client.reply(thread_id(result), "and now?"))) == "Still here."
    last = stage.model.requests()[-1].body.decode()
    assert "All was fine." in last
    assert "work" in last
    assert last.count("<environment_context>") == 1


def test_conversation_outlives_a_compaction_that_fails(stage: Stage) -> None:
    full = rule("work", [CommandStep(("true",)), ScriptedUsage(60_000, 0, 10, 0)], [Text("Done.")])
    stage.play(rule("Sum up!", [Text("")]), full, top=LIMITED)
    client = stage.serve("fork").client
    call = client.codex("work", cwd=stage.cwd)
    assert text(client.result(call)) == "Done."
    assert "warning" in kinds(client.events(call))
