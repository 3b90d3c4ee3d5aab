"""Request bodies: the members that servers expect, around items that are never encoded again."""

import json

import msgspec
import pytest

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.workers.model.request import ModelRequest, RequestEncoder

ID = ConversationId("01a20312-0577-77d3-9bb9-ad78bbf82560")
ORDINARY = ModelRequest(model="gpt-5.5", conversation_id=ID, instructions='Say "hi".')


def body(request: ModelRequest, encoded_input: bytes = b"[]") -> JsonObject:
    members: JsonObject = json.loads(RequestEncoder(request).body(encoded_input))
    return members


def test_ordinary_body() -> None:
    assert body(ORDINARY) == {
        "model": "gpt-5.5",
        "instructions": 'Say "hi".',
        "input": [],
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": ID,
    }


def test_input_is_taken_over_byte_for_byte() -> None:
    items = rb'[ {"type":"message","text":"\u00e9 \/"} ]'
    assert items in RequestEncoder(ORDINARY).body(items)


def test_beginnings_of_two_requests_are_equal_as_far_as_their_input_is() -> None:
    encoder = RequestEncoder(msgspec.structs.replace(ORDINARY, tools=[{"type": "function", "name": "shell"}]))
    first, second = encoder.body(b'[{"a":1}]'), encoder.body(b'[{"a":1},{"b":2}]')
    shared = first.index(b'{"a":1}') + len(b'{"a":1}')
    assert first[:shared] == second[:shared]


@pytest.mark.parametrize(
    ("effort", "summary", "reasoning"),
    [
        ("high", "auto", {"effort": "high", "summary": "auto"}),
        (None, "auto", {"summary": "auto"}),
        ("low", "none", {"effort": "low"}),
        (None, None, {}),
    ],
)
def test_reasoning_has_what_is_configured(effort: str | None, summary: str | None, reasoning: object) -> None:
    assert body(msgspec.structs.replace(ORDINARY, effort=effort, summary=summary))["reasoning"] == reasoning


def test_model_that_does_not_reason_is_sent_no_reasoning() -> None:
    sent = body(msgspec.structs.replace(ORDINARY, supports_reasoning=False, effort="high"))
    assert sent["reasoning"] is None
    assert sent["include"] == []


def test_verbosity_is_sent_only_if_given() -> None:
    assert "text" not in body(ORDINARY)
    assert body(msgspec.structs.replace(ORDINARY, verbosity="low"))["text"] == {"verbosity": "low"}


def test_output_schema_is_sent_as_format() -> None:
    schema: JsonObject = {"type": "object"}
    assert body(msgspec.structs.replace(ORDINARY, output_schema=schema))["text"] == {
        "format": {"type": "json_schema", "strict": True, "schema": schema, "name": "codex_output_schema"}
    }


@pytest.mark.parametrize(
    ("tier", "sent"),
    [("fast", "priority"), ("priority", "priority"), ("default", None), ("flex", "flex"), (None, None)],
)
def test_service_tier_is_translated(tier: str | None, sent: str | None) -> None:
    assert body(msgspec.structs.replace(ORDINARY, service_tier=tier)).get("service_tier") == sent


def test_tools_and_parallel_calls_are_sent() -> None:
    tools: list[JsonObject] = [{"type": "function", "name": "shell"}]
    sent = body(msgspec.structs.replace(ORDINARY, tools=tools, parallel_tool_calls=False))
    assert sent["tools"] == tools
    assert sent["parallel_tool_calls"] is False
