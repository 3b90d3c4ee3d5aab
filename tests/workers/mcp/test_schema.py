"""Whatever a server calls a schema becomes one that model servers take, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.mcp.schema import DEPTH, UnfitSchemaError, fit

TEXT = {"type": "string"}


def of(schema: object) -> object:
    """Fit the schema of one parameter."""
    fitted = fit({"type": "object", "properties": {"p": schema}})["properties"]
    assert isinstance(fitted, dict)
    return fitted["p"]


@pytest.mark.parametrize(
    ("schema", "fitted"),
    [
        (True, TEXT),
        (False, TEXT),
        ({}, TEXT),
        ({"type": "integer", "minimum": 1, "description": "d"}, {"type": "number", "description": "d"}),
        ({"type": ["null", "integer", "string"]}, TEXT),
        ({"type": ["null", "boolean", "integer"]}, {"type": "number"}),
        ({"type": ["null"], "items": {}}, {"type": "array", "items": TEXT}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, TEXT),
        ({"enum": ["a", "b"]}, TEXT),
        ({"const": 1}, TEXT),
        ({"format": "date"}, TEXT),
        ({"exclusiveMaximum": 5}, {"type": "number"}),
        ({"multipleOf": 2}, {"type": "number"}),
        ({"prefixItems": [{}]}, {"type": "array", "items": TEXT}),
        ({"type": "array", "items": True}, {"type": "array", "items": TEXT}),
        ({"items": {"type": "integer"}}, {"type": "array", "items": {"type": "number"}}),
        ({"required": ["a"]}, {"type": "object", "properties": {}, "required": ["a"]}),
        (
            {"additionalProperties": False, "description": "gone"},
            {"type": "object", "properties": {}, "additionalProperties": False},
        ),
        (
            {"properties": {"b": True, "a": {"$ref": "#"}}, "title": "gone"},
            {"type": "object", "properties": {"a": TEXT, "b": TEXT}},
        ),
        ({"type": "string", "description": 5, "pattern": "(a+)+$"}, TEXT),
    ],
)
def test_a_parameter_is_fitted(schema: object, fitted: object) -> None:
    assert of(schema) == fitted


def test_only_three_members_of_the_whole_are_looked_at() -> None:
    schema = {"$schema": "s", "additionalProperties": {"type": "null"}, "required": ["a", 5], "properties": {"a": {}}}
    assert fit(schema) == {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
    assert fit({}) == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "null"},
        {"type": "file"},
        {"type": "array", "items": [{}, {}]},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"properties": {"a": None}},
        "string",
        None,
    ],
)
def test_what_cannot_be_said_is_refused(schema: object) -> None:
    with pytest.raises(UnfitSchemaError):
        of(schema)


@pytest.mark.parametrize("schema", [None, True, [], "object", {"type": "string"}, {"type": "array"}])
def test_parameters_that_are_no_object_are_refused(schema: object) -> None:
    with pytest.raises(UnfitSchemaError):
        fit(schema)


def test_endless_nesting_is_refused() -> None:
    schema: object = {}
    for _ in range(DEPTH * 50):
        schema = {"items": schema}
    with pytest.raises(UnfitSchemaError):
        of(schema)


keywords = st.sampled_from(
    ["type", "properties", "required", "items", "additionalProperties", "enum", "anyOf", "description", "minimum", "x"]
)
types = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null", "odd"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | types | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keywords, inner, max_size=5),
    max_leaves=30,
)


def is_plain(schema: object) -> bool:
    """Tell whether a schema is within the subset."""
    match schema:
        case {"type": "object", "properties": dict(properties), **rest}:
            return all(map(is_plain, properties.values())) and rest.keys() <= {"required", "additionalProperties"}
        case {"type": "array", "items": items, **rest}:
            return is_plain(items) and rest.keys() <= {"description"}
        case {"type": "string" | "number" | "boolean", **rest}:
            return rest.keys() <= {"description"}
    return False


@given(anything)
def test_what_comes_out_is_within_the_subset_and_stays_as_it_is(schema: object) -> None:
    try:
        fitted = fit(schema)
    except UnfitSchemaError:
        return
    assert is_plain(fitted)
    assert fitted["type"] == "object"
    assert fit(fitted) == {name: fitted[name] for name in fitted if name != "additionalProperties"}
