"""A schema reaches the model as its server wrote it; what is no schema loses itself alone."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from greenroom.protocol.items import JsonObject
from greenroom.workers.mcp.tools.schema import DEPTH, SIZE, UnfitSchemaError, read_schema

NAMES = ("a", "b", "items", "type", "$ref")
DEFINED = ("P", "Q")

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2)
)
kinds = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])
counts = st.integers(0, 9)


def tables(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Return schemas that hold others."""
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": kinds | st.lists(kinds, min_size=1, unique=True),
            "title": st.text(max_size=4),
            "description": st.text(max_size=4),
            "enum": st.lists(scalars, min_size=1, max_size=3),
            "const": values,
            "default": values,
            "examples": st.lists(values, max_size=2),
            "minimum": st.integers(-9, 9),
            "exclusiveMaximum": st.floats(0, 9),
            "multipleOf": st.integers(1, 9),
            "minLength": counts,
            "maxItems": counts,
            "uniqueItems": st.booleans(),
            "pattern": st.sampled_from(["^a+$", "[0-9]{2}"]),
            "format": st.sampled_from(["date", "uri", "made-up"]),
            "required": st.lists(st.sampled_from(NAMES), unique=True),
            "properties": named,
            "patternProperties": st.dictionaries(st.just("^x-"), inner, max_size=1),
            "dependentSchemas": named,
            "dependentRequired": st.dictionaries(
                st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), unique=True), max_size=2
            ),
            "additionalProperties": inner,
            "items": inner,
            "prefixItems": several,
            "contains": inner,
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "not": inner,
            "if": inner,
            "then": inner,
            "x-vendor": values,
            "nullable": st.booleans(),
        },
    )


references = st.sampled_from(DEFINED).map(lambda name: {"$ref": f"#/$defs/{name}"})
leaves: st.SearchStrategy[object] = st.booleans() | st.just({}) | references | kinds.map(lambda kind: {"type": kind})
schemas = st.recursive(leaves, tables, max_leaves=12)
of_objects = st.fixed_dictionaries(
    {
        "type": st.just("object"),
        "properties": st.dictionaries(st.sampled_from(NAMES), schemas, max_size=4),
        "$defs": st.fixed_dictionaries(dict.fromkeys(DEFINED, st.just({"type": "array", "items": {"$ref": "#"}}))),
    },
    optional={
        "required": st.lists(st.sampled_from(NAMES), unique=True),
        "additionalProperties": schemas,
        "$schema": st.just("https://json-schema.org/draft/2020-12/schema"),
    },
)


@given(of_objects)
def test_every_valid_schema_stays_as_it_is(schema: JsonObject) -> None:
    Draft202012Validator.check_schema(schema)
    sound = read_schema(schema)
    assert msgspec.json.encode(sound.schema) == msgspec.json.encode(schema)
    assert sound.faults == ()


keywords = st.sampled_from(
    [
        *("type", "properties", "required", "items", "additionalProperties", "enum", "anyOf", "$ref", "$defs", "x"),
        *("description", "minimum", "minLength", "multipleOf", "prefixItems", "not", "dependentRequired", "pattern"),
    ]
)
anything = st.recursive(
    scalars | kinds | st.just("#") | st.just("#/$defs/x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keywords, inner, max_size=5),
    max_leaves=30,
)


@given(st.dictionaries(keywords, anything))
def test_what_is_left_of_anything_is_a_schema_and_stays_as_it_is(schema: JsonObject) -> None:
    sound = read_schema(schema)
    if not isinstance(sound.schema.get("items"), list):
        assert "items" not in schema or "items" in sound.schema or sound.faults
    again = read_schema(sound.schema)
    assert again.schema == sound.schema or again.faults  # a reference may have led to what was left out
    assert bool(sound.faults) is (sound.schema != schema)


@pytest.mark.parametrize(
    ("piece", "left", "fault"),
    [
        (None, {}, "`properties.p` is no schema"),
        ("object", {}, "`properties.p` is no schema"),
        ({"type": None, "description": "d"}, {"description": "d"}, "`properties.p.type` has a value"),
        ({"type": "file", "title": "t"}, {"title": "t"}, "`properties.p.type` has a value"),
        ({"type": []}, {}, "`properties.p.type` has a value"),
        ({"description": 5, "type": "string"}, {"type": "string"}, "`properties.p.description` has a value"),
        ({"required": True, "type": "string"}, {"type": "string"}, "`properties.p.required` has a value"),
        ({"enum": []}, {}, "`properties.p.enum` has a value"),
        ({"anyOf": [None, {"type": "null"}]}, {"anyOf": [{"type": "null"}]}, "`properties.p.anyOf.0` is no schema"),
        ({"anyOf": []}, {}, "`properties.p.anyOf` holds no schemas"),
        ({"prefixItems": [7, {}]}, {"prefixItems": [{}, {}]}, "`properties.p.prefixItems.0` is no schema"),
        ({"properties": []}, {}, "`properties.p.properties` holds no schemas"),
        ({"additionalProperties": "no"}, {}, "`properties.p.additionalProperties` is no schema"),
        ({"$ref": "#/$defs/Missing"}, {}, "`properties.p.$ref` refers to something that is not in the schema"),
        ({"$ref": "https://example.com/s"}, {}, "`properties.p.$ref` refers to something that is not in the schema"),
        ({"$ref": "#/properties/p"}, {}, "`properties.p.$ref` refers to itself"),
        ({"minLength": -1}, {}, "`properties.p.minLength` has a value"),
    ],
)
def test_a_flawed_piece_loses_itself_and_nothing_else(piece: object, left: object, fault: str) -> None:
    other = {"type": "integer", "enum": [1, 2], "description": "kept"}
    sound = read_schema({"type": "object", "properties": {"p": piece, "q": other}})
    assert sound.schema["properties"] == {"p": left, "q": other}
    assert sound.faults[0].startswith(fault)


@pytest.mark.parametrize("reference", ["#", "#/$defs/P", "#p", "whole", "#/$defs/a~1b", "#/$defs/a%20b"])
def test_a_reference_that_leads_somewhere_stays(reference: str) -> None:
    schema = {
        "$id": "whole",
        "properties": {"p": {"$ref": reference}},
        "$defs": {"P": {"$anchor": "p", "$ref": "#/$defs/Q"}, "Q": {}, "a/b": {}, "a b": True},
    }
    sound = read_schema(schema)
    assert (sound.schema, sound.faults) == (schema, ())


def test_a_circle_of_references_loses_its_members() -> None:
    circle = {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}
    sound = read_schema({"properties": {"p": {"$ref": "#/$defs/A"}}, "$defs": circle})
    assert sound.schema == {"properties": {"p": {}}, "$defs": {"A": {}, "B": {}}}


def test_what_is_nested_too_deeply_accepts_anything() -> None:
    schema: JsonObject = {"description": "innermost"}
    for _ in range(300):
        schema = {"type": "object", "properties": {"in": schema}}
    sound = read_schema(schema)
    text = msgspec.json.encode(sound.schema)
    assert text.count(b'"in"') == DEPTH + 1
    assert f"more than {DEPTH} levels deep" in sound.faults[0]


@pytest.mark.parametrize(
    "schema",
    [
        *(None, True, [], "object", {"description": "x" * SIZE}),
        *({"default": "\ud800"}, {"default": object()}),
    ],
)
def test_what_no_request_can_hold_is_refused(schema: object) -> None:
    with pytest.raises(UnfitSchemaError):
        read_schema(schema)
