"""A plan reaches the client as it was given, or not at all."""

import asyncio

import pytest

from greenroom.protocol.items import JsonObject
from greenroom.workers.tools.context import ToolOutput
from greenroom.workers.tools.registry import call
from tests.workers.tools.conftest import Conversation


def update(arguments: str) -> tuple[ToolOutput, list[JsonObject]]:
    conversation = Conversation(policy="untrusted", mode="read-only")
    return asyncio.run(call("update_plan", "call_1", arguments, conversation.context)), conversation.events


@pytest.mark.parametrize(
    ("arguments", "explanation"),
    [
        ('{"plan":[{"step":"read","status":"completed"},{"step":"write","status":"in_progress"}]}', None),
        (
            '{"explanation":"w","plan":[{"step":"read","status":"completed"},{"status":"in_progress","step":"write"}]}',
            "w",
        ),
    ],
)
def test_a_plan_is_shown_to_the_client(arguments: str, explanation: str | None) -> None:
    output, events = update(arguments)
    assert output == ToolOutput("Plan updated", success=True)
    steps = [{"step": "read", "status": "completed"}, {"step": "write", "status": "in_progress"}]
    assert events == [{"type": "plan_update", "explanation": explanation, "plan": steps}]


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "[]",
        "{}",
        '{"plan":"x"}',
        '{"plan":[{"step":"read"}]}',
        '{"plan":[{"step":"read","status":"done"}]}',
        '{"plan":[{"step":"read","status":"pending","more":1}]}',
        '{"plan":[],"more":1}',
    ],
)
def test_what_is_not_exactly_a_plan_is_refused_without_an_event(arguments: str) -> None:
    output, events = update(arguments)
    assert output.text.startswith("failed to parse function arguments: ")
    assert not output.success
    assert events == []
