"""Of a sound schema nothing is changed but what a wire refuses, and that without changing what it means."""

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from greenroom.config.tables.providers import WireApi
from greenroom.protocol.items import JsonObject
from greenroom.workers.mcp.tools.schema import UnfitSchemaError
from greenroom.workers.mcp.tools.wire_schema import RULE_SIZE, fit
from tests.workers.mcp.tools.test_schema import of_objects, schemas, values

WIRES: tuple[WireApi, ...] = ("responses", "chat")
POINT = {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]}

REAL: list[JsonObject] = [
    {
        "type": "object",
        "properties": {
            "n": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None, "description": "how many"},
            "mode": {"type": "string", "enum": ["a", "b"], "description": "which"},
            "k": {"type": ["integer", "null"]},
        },
        "required": ["mode"],
    },
    {
        "type": "object",
        "properties": {"p": {"$ref": "#/$defs/P"}, "l": {"type": "array", "items": {"$ref": "#/$defs/P"}}},
        "$defs": {"P": POINT},
    },
    {"type": "object", "properties": {"h": {"type": "object", "additionalProperties": {"type": "string"}}}},
    {"type": "object", "properties": {"v": {"oneOf": [POINT, {"type": "null"}]}, "c": {"const": 5}}},
    {"type": "object", "description": "top", "properties": {"o": {**POINT, "description": "nested"}}, "title": "T"},
]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("schema", REAL)
def test_what_every_wire_takes_stays_as_it_is(wire: WireApi, schema: JsonObject) -> None:
    fitted = fit(schema, wire)
    assert (fitted.schema, fitted.rule) == (schema, "")


def takes(schema: object, wire: WireApi) -> bool:
    """Tell whether a server of that API takes a schema of a value."""
    if not isinstance(schema, dict):
        return isinstance(schema, bool)
    names = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if "array" in names and "items" not in schema:
        return False
    plain = [
        *schema.get("properties", {}).values(),
        *schema.get("anyOf", []),
        *([schema["items"]] if "items" in schema else []),
    ]
    return not (wire == "chat" and True in [value for value in plain if isinstance(value, bool)]) and all(
        takes(value, wire) for value in plain
    )


@given(of_objects, schemas, values)
def test_a_wire_gets_what_it_takes_and_the_same_values_fit(schema: JsonObject, more: object, value: object) -> None:
    schema = {**schema, "properties": {"more": more}}
    for wire in WIRES:
        fitted = fit(schema, wire)
        assert takes(fitted.schema, wire)
        assert fitted.rule == ""
        before, after = Draft202012Validator(schema), Draft202012Validator(fitted.schema)
        assert before.is_valid({"more": value}) == after.is_valid({"more": value})


@pytest.mark.parametrize(
    ("schema", "fitted"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"type": ["object", "null"], "title": "t"}, {"type": "object", "properties": {}, "title": "t"}),
        (
            {"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": True}}]},
            {"type": "object", "properties": {"a": {"type": "string"}, "b": True}},
        ),
        (
            {
                "type": "object",
                "properties": {"kind": {"type": "string"}},
                "oneOf": [
                    {"properties": {"kind": {"const": "x"}, "x": {}}, "required": ["kind", "x"]},
                    {"properties": {"kind": {"const": "y"}, "y": {}}, "required": ["y", "kind"]},
                ],
            },
            {
                "type": "object",
                "properties": {
                    "kind": {"allOf": [{"type": "string"}, {"anyOf": [{"const": "x"}, {"const": "y"}]}]},
                    "x": {},
                    "y": {},
                },
                "required": ["kind"],
            },
        ),
        (
            {"$ref": "#/$defs/P", "$defs": {"P": POINT}},
            {"type": "object", "properties": POINT["properties"], "required": ["lat"], "$defs": {"P": POINT}},
        ),
        (
            {"allOf": [{"$ref": "#/$defs/P"}, {"required": ["a"]}], "$defs": {"P": POINT}},
            {"type": "object", "properties": POINT["properties"], "required": ["lat", "a"], "$defs": {"P": POINT}},
        ),
        ({"enum": [{"a": 1}]}, {"type": "object", "properties": {}}),
    ],
)
def test_what_combines_at_the_top_becomes_one_object_and_a_rule_in_words(schema: JsonObject, fitted: object) -> None:
    found = fit(schema, "responses")
    assert found.schema == fitted
    rules = schema.keys() & {"anyOf", "oneOf", "allOf", "$ref", "enum"}
    assert bool(rules) is ("must also match this JSON Schema" in found.rule)
    assert all(f'"{rule}"' in found.rule for rule in rules)


def test_a_rule_that_is_too_long_is_only_mentioned() -> None:
    assert len(fit({"anyOf": [{"title": "x" * RULE_SIZE}]}, "chat").rule) < 100


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"items": [{}, {"type": "string"}]}, {"prefixItems": [{}, {"type": "string"}]}),
        ({"type": "array", "items": [{}]}, {"type": "array", "prefixItems": [{}], "items": {}}),
        ({"items": [{}], "additionalItems": False}, {"prefixItems": [{}], "items": False}),
        ({"minimum": 1, "exclusiveMinimum": True}, {"exclusiveMinimum": 1}),
        ({"maximum": 1, "exclusiveMaximum": False}, {"maximum": 1}),
        ({"exclusiveMaximum": True}, {}),
        ({"type": "array"}, {"type": "array", "items": {}}),
    ],
)
def test_forms_of_older_drafts_are_written_as_they_are_today(older: JsonObject, newer: JsonObject) -> None:
    assert fit({"properties": {"p": older}}, "responses").schema["properties"] == {"p": newer}


@pytest.mark.parametrize("kind", ["string", ["array", "null"], "array"])
def test_parameters_that_are_no_object_are_refused(kind: object) -> None:
    with pytest.raises(UnfitSchemaError):
        fit({"type": kind}, "responses")
