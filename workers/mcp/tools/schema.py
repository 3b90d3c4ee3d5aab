"""Reads a tool's parameter schema, dropping parts that are not valid JSON Schema.

Everything that JSON Schema (2020-12, and earlier drafts) allows is kept. An invalid part is dropped and reported; the
rest of the tool stays usable.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias
from urllib.parse import unquote

import msgspec

from greenroom.protocol.items import JsonObject

DEPTH: Final = 64
"""Maximum nesting of schemas; deeper ones accept anything."""
SIZE: Final = 256 * 1024
"""Maximum bytes of one tool's schema as JSON. A model could not use a longer one."""
TOLD: Final = 3
"""Maximum errors of one tool in a warning."""

TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})

_Path: TypeAlias = tuple[str, ...]


class UnfitSchemaError(ValueError):
    """A schema cannot be declared as the parameters of a function."""


class SoundSchema(msgspec.Struct, frozen=True):
    """The valid part of a schema."""

    schema: JsonObject
    faults: tuple[str, ...] = ()
    """What was dropped, and why, for people."""


def read_schema(given: object) -> SoundSchema:
    """Return the schema without its invalid parts. Raises `UnfitSchemaError` if nothing usable remains."""
    if not isinstance(given, dict):
        raise UnfitSchemaError("the schema is no object")
    try:
        size = len(msgspec.json.encode(given))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise UnfitSchemaError(f"the schema cannot be written as JSON: {error}") from error
    if size > SIZE:
        raise UnfitSchemaError(f"the schema has {size} bytes, more than {SIZE}")
    reader = _Reader(given)
    schema = reader.table(given, (), 0)
    return SoundSchema(schema, tuple(reader.faults))


def resolve_reference(root: JsonObject, reference: object) -> object:
    """Return the target of a reference within a schema, `None` if there is none."""
    if not isinstance(reference, str):
        return None
    base, _, fragment = reference.partition("#")
    start = root if not base else _named(root, "$id", base) or _named(root, "id", base)
    if not fragment or start is None:
        return start
    if fragment.startswith("/"):
        return _at(start, fragment)
    return _named(start, "$anchor", fragment) or _named(start, "$dynamicAnchor", fragment)


def _at(place: object, pointer: str) -> object:
    for part in unquote(pointer).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict):
            place = place.get(key)
        elif isinstance(place, list) and key.isdecimal() and int(key) < len(place):
            place = place[int(key)]
        else:
            return None
    return place if isinstance(place, dict | bool) else None


def _named(root: object, keyword: str, name: str) -> object:
    places = [root]
    while places:
        place = places.pop()
        if isinstance(place, dict):
            if place.get(keyword) == name:
                return place
            places.extend(place.values())
        elif isinstance(place, list):
            places.extend(place)
    return None


# The required value of each keyword that is not a schema itself


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and _is_number(value) and value >= 0 and float(value).is_integer()


def _is_bound(value: object) -> bool:
    return _is_number(value) or _is_flag(value)  # a boolean in draft 4


def _is_step(value: object) -> bool:
    return isinstance(value, int | float) and _is_number(value) and value > 0


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and len(set(value)) == len(value)


def _is_type(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and _is_names(value) and TYPES.issuperset(value)
    return isinstance(value, str) and value in TYPES


def _is_choice(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _is_dependents(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_names, value.values()))


_VALUES: Final[Mapping[str, Callable[[object], bool]]] = {
    "type": _is_type,
    "enum": _is_choice,
    "required": _is_names,
    "dependentRequired": _is_dependents,
    **dict.fromkeys(("$id", "$schema", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor", "$comment"), _is_text),
    **dict.fromkeys(("title", "description", "format", "pattern", "contentEncoding", "contentMediaType"), _is_text),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), _is_flag),
    **dict.fromkeys(("minimum", "maximum"), _is_number),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), _is_bound),
    "multipleOf": _is_step,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _is_count),
    **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), _is_count),
}
"""Keywords whose value is validated. Those not listed, here or below, accept anything."""

ONE: Final = frozenset(
    {
        *("additionalProperties", "propertyNames", "unevaluatedProperties", "not", "if", "then", "else"),
        *("items", "additionalItems", "contains", "unevaluatedItems", "contentSchema"),
    }
)
"""Keywords whose value is a schema."""
SEVERAL: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems", "items"})
"""Keywords whose value is a list of schemas; `items` in the drafts before 2020-12."""
_IN_ORDER: Final = frozenset({"prefixItems", "items"})
NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose value maps names to schemas."""


class _Reader:
    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self.faults: list[str] = []

    def table(self, given: JsonObject, path: _Path, depth: int) -> JsonObject:
        """Return a schema that is an object, without its invalid parts."""
        if depth > DEPTH:
            self._fault(path, f"is nested more than {DEPTH} levels deep")
            return {}
        return dict(self._members(given, path, depth + 1))

    def _members(self, given: JsonObject, path: _Path, depth: int) -> Iterator[tuple[str, object]]:
        for keyword, value in given.items():
            place = (*path, keyword)
            if keyword in SEVERAL and isinstance(value, list) and value:
                if kept := self._several(value, place, depth, in_order=keyword in _IN_ORDER):
                    yield keyword, kept
            elif keyword in NAMED and isinstance(value, dict):
                yield keyword, {name: self._any(inner, (*place, name), depth) for name, inner in value.items()}
            elif keyword in ONE and isinstance(value, dict | bool):
                yield keyword, self._any(value, place, depth)
            elif (fault := self._judge(keyword, value)) is None:
                yield keyword, value
            else:
                self._fault(place, fault)

    def _several(self, given: list[object], path: _Path, depth: int, *, in_order: bool) -> list[object]:
        """Return the valid ones; if their position matters, invalid ones are replaced by schemas that accept
        anything."""
        steps = [(inner, (*path, str(index))) for index, inner in enumerate(given)]
        return [self._any(inner, place, depth) for inner, place in steps if in_order or self._is_schema(inner, place)]

    def _is_schema(self, given: object, path: _Path) -> bool:
        if isinstance(given, dict | bool):
            return True
        self._fault(path, "is no schema")
        return False

    def _any(self, given: object, path: _Path, depth: int) -> object:
        if isinstance(given, dict):
            return self.table(given, path, depth)
        return given if self._is_schema(given, path) else {}

    def _judge(self, keyword: str, value: object) -> str | None:
        if keyword in ONE or keyword in SEVERAL or keyword in NAMED:
            return "is no schema" if keyword in ONE else "holds no schemas"
        if keyword == "$ref" and isinstance(value, str):
            return self._judge_reference(value)
        check = _VALUES.get(keyword)
        return None if check is None or check(value) else "has a value that is not allowed"

    def _judge_reference(self, reference: str) -> str | None:
        """Reject references without a target, or that form a cycle of references alone."""
        seen: set[int] = set()
        target = resolve_reference(self._root, reference)
        while isinstance(target, dict) and "$ref" in target and id(target) not in seen:
            seen.add(id(target))
            target = resolve_reference(self._root, target["$ref"])
        if target is None:
            return "refers to something that is not in the schema"
        return "refers to itself" if id(target) in seen else None

    def _fault(self, path: _Path, why: str) -> None:
        if len(self.faults) < TOLD:
            self.faults.append(f"`{_shown(path)}` {why}")


_LONG: Final = 120


def _shown(path: _Path) -> str:
    text = re.sub(r"[\x00-\x1f`]", "?", ".".join(path))
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
