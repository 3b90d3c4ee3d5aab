"""Fits a tool's parameter schema to the part of JSON Schema that every model server takes (spec/agent-core 4.6)."""

from collections.abc import Mapping
from typing import Final

from greenroom.protocol.items import JsonObject, as_list

DEPTH: Final = 32
"""Levels of nesting that are looked into; no real tool comes near."""

_TYPES: Final[Mapping[str, str]] = {
    "object": "object",
    "array": "array",
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
}
"""Each type that may be asked for and what it becomes, in the order of preference where there is a choice."""

_TELLING: Final[Mapping[str, str]] = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "enum": "string",
    "const": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}
"""Keywords that tell of a type that is not named, the first one found deciding."""


class UnfitSchemaError(ValueError):
    """A schema says what the subset cannot say."""


def fit(schema: object) -> JsonObject:
    """Return the parameters to declare for a tool's `inputSchema`. Raises `UnfitSchemaError`."""
    if not isinstance(schema, dict):
        raise UnfitSchemaError("the schema is no object")
    reduced = {
        "properties": {},
        **{name: schema[name] for name in ("type", "properties", "required") if name in schema},
    }
    fitted = _fit(reduced, 0)
    if fitted["type"] != "object":
        raise UnfitSchemaError("the parameters are no object")
    return fitted


def _fit(schema: object, depth: int) -> JsonObject:
    if depth > DEPTH:
        raise UnfitSchemaError(f"nested more than {DEPTH} levels deep")
    if isinstance(schema, bool):
        return {"type": "string"}
    if not isinstance(schema, dict):
        raise UnfitSchemaError("a part of the schema is neither an object nor a boolean")
    kind = _type(schema)
    fitted: JsonObject = {"type": kind}
    if kind == "object":
        return fitted | _object(schema, depth)
    if isinstance(schema.get("description"), str):
        fitted["description"] = schema["description"]
    if kind == "array":
        fitted["items"] = _fit(schema.get("items", True), depth + 1)
    return fitted


def _type(schema: JsonObject) -> str:
    named = schema.get("type")
    if isinstance(named, str):
        if named not in _TYPES:
            raise UnfitSchemaError(f"the type {named[:40]!r} cannot be declared")
        return _TYPES[named]
    choice = as_list(named)
    for name, kind in _TYPES.items():
        if name in choice:
            return kind
    return next((kind for keyword, kind in _TELLING.items() if keyword in schema), "string")


def _object(schema: JsonObject, depth: int) -> JsonObject:
    given = schema.get("properties")
    properties = given if isinstance(given, dict) else {}
    members: JsonObject = {"properties": {name: _fit(properties[name], depth + 1) for name in sorted(properties)}}
    required = [name for name in as_list(schema.get("required")) if isinstance(name, str)]
    if required:
        members["required"] = required
    if "additionalProperties" in schema:
        if not isinstance(schema["additionalProperties"], bool):
            raise UnfitSchemaError("`additionalProperties` is neither true nor false")
        members["additionalProperties"] = schema["additionalProperties"]
    return members
