"""Adapts a valid schema to what an API accepts as the parameters of a function.

The changes for each API are a table. Each entry preserves the meaning; if an API cannot express it, it is added to the
tool's description as text.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from greenroom.config.tables.providers import WireApi
from greenroom.protocol.items import JsonObject, as_list
from greenroom.workers.mcp.tools.schema import NAMED, ONE, SEVERAL, UnfitSchemaError, resolve_reference

RULE_SIZE: Final = 4096
"""Maximum bytes of a rule that is given as text; a longer one is only mentioned."""

_TOP: Final = ("anyOf", "oneOf", "allOf", "not", "enum", "const", "if", "then", "else", "$ref")
"""Keywords that are not accepted beside the type of the parameters as a whole."""
_HOPS: Final = 8
"""Maximum nesting of references and combinations that are followed at the top."""


class Parameters(msgspec.Struct, frozen=True):
    """The parameters of a function as declared in a request."""

    schema: JsonObject
    rule: str = ""
    """What the schema cannot express in this API, to be added to the tool's description."""


def fit(schema: JsonObject, wire: WireApi) -> Parameters:
    """Return the parameters for an API. Raises `UnfitSchemaError` if they are not an object."""
    named = schema.get("type", "object")
    if named != "object" and "object" not in as_list(named):
        raise UnfitSchemaError("the parameters are no object")
    fitted = _walk(schema, _CHANGES[wire])
    rule: JsonObject = {keyword: schema[keyword] for keyword in _TOP if keyword in schema}
    members = _merged(fitted, fitted, _HOPS) if rule else {}
    whole = {keyword: value for keyword, value in fitted.items() if keyword not in _TOP} | members | {"type": "object"}
    whole.setdefault("properties", {})
    return Parameters(whole, _described(rule))


def _described(rule: JsonObject) -> str:
    if not rule:
        return ""
    text = msgspec.json.encode(rule).decode()
    if len(text) > RULE_SIZE:
        return f"The arguments must also keep rules that are too long to show ({', '.join(rule)})."
    return f"The arguments as a whole must also match this JSON Schema: {text}"


# Several alternative objects become one


def _merged(schema: JsonObject, root: JsonObject, hops: int) -> JsonObject:
    """Return `properties` and `required` of a schema with everything that it combines."""
    properties: dict[str, object] = dict(_table(schema.get("properties")))
    required: list[object] = as_list(schema.get("required"))
    if hops:
        target = resolve_reference(root, schema.get("$ref"))
        for part in [target, *as_list(schema.get("allOf"))]:
            if isinstance(part, dict):
                merged = _merged(part, root, hops - 1)
                properties = _join("allOf", [properties, _table(merged["properties"])])
                required += [name for name in as_list(merged.get("required")) if name not in required]
        for keyword in ("anyOf", "oneOf"):
            parts = [_merged(part, root, hops - 1) for part in as_list(schema.get(keyword)) if isinstance(part, dict)]
            if parts:
                choice = _join("anyOf", [_table(part["properties"]) for part in parts])
                properties = _join("allOf", [properties, choice])
                common = [as_list(part.get("required")) for part in parts]
                required += [name for name in common[0] if name not in required and all(name in one for one in common)]
    return {"properties": properties} | ({"required": required} if required else {})


def _join(keyword: str, tables: Iterable[Mapping[str, object]]) -> dict[str, object]:
    found: dict[str, list[object]] = {}
    for table in tables:
        for name, schema in table.items():
            schemas = found.setdefault(name, [])
            if schema not in schemas:
                schemas.append(schema)
    return {name: schemas[0] if len(schemas) == 1 else {keyword: schemas} for name, schemas in found.items()}


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


# What an API rejects anywhere


def _with_items(schema: JsonObject) -> JsonObject:
    """Both APIs reject an array without the type of its elements."""
    named = schema.get("type")
    is_array = named == "array" or "array" in as_list(named)
    return {**schema, "items": {}} if is_array and "items" not in schema else schema


def _with_prefix(schema: JsonObject) -> JsonObject:
    """A list of `items` is rejected: it is from before 2020-12, and is now called `prefixItems`."""
    if not isinstance(schema.get("items"), list):
        return schema
    renamed = {"items": "prefixItems", "additionalItems": "items"}
    return {renamed.get(keyword, keyword): value for keyword, value in schema.items()}


def _with_bounds(schema: JsonObject) -> JsonObject:
    """A boolean `exclusiveMinimum` is rejected: it is from draft 4, and is now the bound itself."""
    for keyword, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        flag = schema.get(keyword)
        if isinstance(flag, bool):
            schema = {name: value for name, value in schema.items() if name != keyword}
            if flag and bound in schema:
                schema = {keyword if name == bound else name: value for name, value in schema.items()}
    return schema


def _without_true(schema: JsonObject) -> JsonObject:
    """Compatible servers that turn a schema into a grammar do not support `true` as the schema of a value."""
    changed = dict(schema)
    for keyword, value in schema.items():
        if keyword in NAMED and isinstance(value, dict):
            changed[keyword] = {name: {} if inner is True else inner for name, inner in value.items()}
        elif keyword in SEVERAL and isinstance(value, list):
            changed[keyword] = [{} if inner is True else inner for inner in value]
        elif keyword == "items" and value is True:
            changed[keyword] = {}
    return changed


_Change: TypeAlias = Callable[[JsonObject], JsonObject]

_CHANGES: Final[Mapping[WireApi, tuple[_Change, ...]]] = {
    "responses": (_with_prefix, _with_bounds, _with_items),
    "chat": (_with_prefix, _with_bounds, _with_items, _without_true),
}
"""The changes to every schema for a server of that API."""


def _walk(schema: JsonObject, changes: tuple[_Change, ...]) -> JsonObject:
    for change in changes:
        schema = change(schema)
    return {keyword: _inner(keyword, value, changes) for keyword, value in schema.items()}


def _inner(keyword: str, value: object, changes: tuple[_Change, ...]) -> object:
    if keyword in NAMED and isinstance(value, dict):
        return {name: _any(inner, changes) for name, inner in value.items()}
    if keyword in SEVERAL and isinstance(value, list):
        return [_any(inner, changes) for inner in value]
    return _any(value, changes) if keyword in ONE else value


def _any(schema: object, changes: tuple[_Change, ...]) -> object:
    return _walk(schema, changes) if isinstance(schema, dict) else schema
