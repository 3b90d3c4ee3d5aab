"""The tools as listed are the tools as decoded."""

import json
from typing import Any, get_args

import jsonschema
import msgspec
import pytest

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.mcp.arguments import CodexArguments, ReplyArguments
from greenroom.protocol.mcp.handshake import failure_result, success_result
from greenroom.protocol.mcp.session_tools import SESSION_TOOLS
from greenroom.protocol.mcp.toolset import OUTPUT_SCHEMA, TOOL_NAMES, TOOLS, tools_result
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode

CODEX, REPLY = TOOLS
TYPES = {str: "string", bool: "boolean", dict: "object"}


def input_schema(tool: dict[str, object]) -> dict[str, dict[str, dict[str, object]]]:
    schema = tool["inputSchema"]
    assert isinstance(schema, dict)
    return schema


@pytest.mark.parametrize(("tool", "model"), [(CODEX, CodexArguments), (REPLY, ReplyArguments)])
def test_each_property_is_an_argument_and_each_argument_a_property(
    tool: dict[str, object], model: type[CodexArguments | ReplyArguments]
) -> None:
    schema = input_schema(tool)
    fields = {field.encode_name: field for field in msgspec.structs.fields(model)}
    assert set(schema["properties"]) == set(fields)
    assert set(schema["required"]) == {name for name, field in fields.items() if field.required} == {"prompt"}
    decoded = msgspec.json.schema(model)["$defs"][model.__name__]["properties"]
    for name, told in schema["properties"].items():
        expected = decoded[name]
        variants = [variant for variant in expected.get("anyOf", [expected]) if variant.get("type") != "null"]
        assert told["type"] == variants[0].get("type", "string"), name
        assert told["description"], name
        choices = told.get("enum", [])
        assert isinstance(choices, list)
        assert set(choices) == set(variants[0].get("enum", [])) - {None}, name


def test_the_choices_are_those_of_the_types() -> None:
    properties = input_schema(CODEX)["properties"]
    assert properties["approval-policy"]["enum"] == list(get_args(ApprovalPolicy))
    assert properties["sandbox"]["enum"] == list(get_args(SandboxMode))


def test_all_schemas_are_schemas_and_nothing_unknown_is_refused() -> None:
    for tool in TOOLS:
        schema = input_schema(tool)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert "additionalProperties" not in schema
        jsonschema.validate({"prompt": "x", "bogus": 1}, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({}, schema)


def test_every_result_fits_the_schema_that_is_promised() -> None:
    thread = ConversationId("t")
    jsonschema.Draft202012Validator.check_schema(OUTPUT_SCHEMA)
    for result in (success_result(thread, b'"x"'), failure_result(Failure("config", "no", {"signal": 9}), thread)):
        jsonschema.validate(json.loads(result)["structuredContent"], OUTPUT_SCHEMA)


@pytest.mark.parametrize("version", [None, "2025-06-18", "2025-11-25"])
def test_revisions_with_titles_get_the_tools_whole(version: str | None) -> None:
    assert json.loads(tools_result(version, session_tools=False)) == {"tools": json.loads(json.dumps(TOOLS))}
    both = json.loads(tools_result(version, session_tools=True))["tools"]
    assert both == json.loads(json.dumps([*TOOLS, *SESSION_TOOLS]))


@pytest.mark.parametrize("tool", SESSION_TOOLS, ids=lambda tool: str(tool["name"]))
def test_the_schemas_of_session_tools_are_schemas(tool: dict[str, Any]) -> None:
    for name in ("inputSchema", "outputSchema"):
        jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(tool[name])))
        assert set(tool[name]["required"]) <= set(tool[name]["properties"])


def test_older_revisions_get_what_they_know() -> None:
    plain = {"name", "description", "inputSchema"}
    for version, known in (("2024-11-05", plain), ("2025-03-26", plain | {"annotations"})):
        tools = json.loads(tools_result(version, session_tools=False))["tools"]
        assert [tool["name"] for tool in tools] == list(TOOL_NAMES)
        assert all(set(tool) == known for tool in tools)
