"""Says in people's words what is wrong with a setting: what was found, what is allowed, and under which key."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SHOWN: Final = 80
"""Characters of a value that a text repeats."""

_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "tuple_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
}
_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "string_too_short": ("a string of at least", "min_length"),
}
_KINDS: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "table",
    type(None): "null",
}
_SECRET_WORDS: Final = re.compile("key|secret|token|bearer|password|header", re.IGNORECASE)
_SECRET_TABLES: Final = frozenset({"env", "query_params", "set"})
"""Tables whose values are the user's own and so may be secrets under any name."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def explain(error: ValidationError, within: tuple[str, ...] = ()) -> str:
    """Describe the first fault. `within` is the key under which the validated value stands.

    Long values are shortened; those that may be secrets are left out, as their key tells.
    """
    fault = error.errors(include_url=False)[0]
    where: tuple[int | str, ...] = (*within, *fault["loc"])
    what = _describe(fault, shown=not _may_be_secret(where))
    place = where[:-1] if fault["type"] == "missing" else where
    return f"{what}\nin `{dotted(place)}`" if place else what


def dotted(path: Sequence[int | str]) -> str:
    """Write the place of a value as TOML would: `mcp_servers."my server".args[1]`."""
    return "".join(_step(part, first=index == 0) for index, part in enumerate(path))


def _step(part: int | str, *, first: bool) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    key = _shorten(part)
    key = key if _BARE_KEY.fullmatch(key) else f'"{key}"'
    return key if first else f".{key}"


def _may_be_secret(where: Sequence[int | str]) -> bool:
    return any(isinstance(part, str) and (part in _SECRET_TABLES or _SECRET_WORDS.search(part)) for part in where)


def _describe(fault: "ErrorDetails", *, shown: bool) -> str:
    kind, given, context = fault["type"], fault["input"], fault.get("ctx", {})
    if kind == "missing":
        return f"missing field `{fault['loc'][-1]}`"
    if kind == "literal_error":
        return _describe_variant(given, re.findall("'([^']*)'", context["expected"]), shown=shown)
    if kind in _EXPECTED:
        return f"invalid type: {_value(given, shown=shown)}, expected {_EXPECTED[kind]}"
    if kind in _BOUNDS:
        relation, bound = _BOUNDS[kind]
        unit = " character" if bound == "min_length" else ""
        return f"invalid value: {_value(given, shown=shown)}, expected {relation} {context[bound]}{unit}"
    return fault["msg"]


def _describe_variant(given: object, allowed: Sequence[str], *, shown: bool) -> str:
    if not isinstance(given, str):
        return f"invalid type: {_value(given, shown=shown)}, expected {alternatives(allowed)}"
    found = f"unknown variant `{_shorten(given)}`" if shown else "unknown variant"
    return f"{found}, expected {alternatives(allowed)}"


def alternatives(names: Sequence[str]) -> str:
    """List what is allowed: ``one of `a`, `b` ``."""
    listed = ", ".join(f"`{name}`" for name in names)
    return listed if len(names) == 1 else f"one of {listed}"


def _value(value: object, *, shown: bool) -> str:
    kind = _KINDS.get(type(value), "date or time")
    if not shown or value is None or isinstance(value, dict | list):
        return kind
    if isinstance(value, str):
        return f'{kind} "{_shorten(value)}"'
    return f"{kind} `{str(value).lower() if isinstance(value, bool) else _shorten(str(value))}`"


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
