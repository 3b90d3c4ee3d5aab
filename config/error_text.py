"""Describes an invalid setting for people: its key, the value found, and what is allowed."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, get_args, get_origin

from msgspec import Meta, Struct

from greenroom.config.invalid_value import Form, Misfit, find_misfit

SHOWN: Final = 80
"""Maximum characters of a value in an error text."""

_EXPECTED: Final[Mapping[object, str]] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
    tuple: "an array",
    dict: "a table",
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
"""Tables with free-form keys, whose values may be secrets under any name."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def explain(value: object, kind: type[Struct], within: tuple[str, ...] = ()) -> str:
    """Describe the first invalid value of a table that does not convert. `within` is the key of the table.

    Long values are shortened. Values that may be secrets, judged by their key, are left out.
    """
    misfit = find_misfit(value, kind)
    assert misfit is not None, "the value is as its type has it"
    where = (*within, *misfit.path)
    what = _describe(misfit, shown=not _may_be_secret(where))
    return f"{what}\nin `{dotted(where)}`" if where else what


def dotted(path: Sequence[int | str]) -> str:
    """Format the place of a value as in TOML: `mcp_servers."my server".args[1]`."""
    return "".join(_step(part, first=index == 0) for index, part in enumerate(path))


def _step(part: int | str, *, first: bool) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    key = _shorten(part)
    key = key if _BARE_KEY.fullmatch(key) else f'"{key}"'
    return key if first else f".{key}"


def _may_be_secret(where: Sequence[int | str]) -> bool:
    return any(isinstance(part, str) and (part in _SECRET_TABLES or _SECRET_WORDS.search(part)) for part in where)


def _describe(misfit: Misfit, *, shown: bool) -> str:
    match misfit.about:
        case "unknown key":
            return f"unknown field `{misfit.detail}`, expected {alternatives(misfit.known)}"
        case "missing key":
            return f"missing field `{misfit.detail}`"
        case "conflict":
            return misfit.detail
        case "value":
            return _describe_value(misfit.given, misfit.forms, shown=shown)


def _describe_value(value: object, forms: Sequence[Form], *, shown: bool) -> str:
    bound = next((bound for form in forms if _is_of(value, form.kind) for bound in _broken(value, form.bounds)), None)
    if bound is not None:
        return f"invalid value: {_value(value, shown=shown)}, expected {bound}"
    expected = " or ".join(_expected(form.kind) for form in forms)
    if isinstance(value, str) and any(get_origin(form.kind) is Literal for form in forms):
        description = f"unknown variant `{_shorten(value)}`" if shown else "unknown variant"
        return f"{description}, expected {expected}"
    return f"invalid type: {_value(value, shown=shown)}, expected {expected}"


def _expected(kind: object) -> str:
    if get_origin(kind) is Literal:
        return alternatives(get_args(kind))
    return _EXPECTED.get(get_origin(kind) or kind, "a table")


def _is_of(value: object, kind: object) -> bool:
    return type(value) is kind or (kind is float and type(value) is int)


def _broken(value: object, bounds: Sequence[Meta]) -> Iterator[str]:
    """Yield the bounds that a value violates; a value that is not a number violates none."""
    for bound in bounds:
        if isinstance(value, str):
            if bound.min_length is not None and len(value) < bound.min_length:
                yield f"a string of at least {bound.min_length} character"
        elif isinstance(value, int | float):
            if bound.ge is not None and not value >= bound.ge:
                yield f"at least {bound.ge}"
            if bound.gt is not None and not value > bound.gt:
                yield f"more than {bound.gt}"
            if bound.le is not None and not value <= bound.le:
                yield "a finite number" if bound.le == sys.float_info.max else f"at most {bound.le}"


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
