"""Settings that override `config.toml`: `-c key=value` of the command line and the tool's `config` argument."""

import math
import tomllib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from greenroom.config.document import Table
from greenroom.protocol.errors import ConfigError

_INTEGERS: Final = range(-(2**63), 2**63)
"""The range of TOML integers."""


class Assignment(NamedTuple):
    """A value and its place: one key per level of tables."""

    path: tuple[str, ...]
    value: object


def parse_assignment(argument: str) -> Assignment:
    """Parse `key=value` as in `-c`: a dotted key, and a TOML value or else a bare string. Raises `ConfigError`."""
    key, equals, value = argument.partition("=")
    if not equals:
        raise ConfigError(f"Invalid override (missing '='): {argument}")
    key = key.strip()
    if not key:
        raise ConfigError(f"Empty key in override: {argument}")
    return Assignment(tuple(key.split(".")), _toml_value(value.strip()))


def config_assignments(config: Mapping[str, object]) -> Iterator[Assignment]:
    """Parse the tool's `config` object, whose keys are dotted and whose values are JSON."""
    for key, value in config.items():
        yield Assignment(tuple(key.split(".")), from_json(value))


def from_json(value: object) -> object:
    """Convert decoded JSON to values that TOML has: null becomes `""`, an integer beyond 64 bits a float."""
    match value:
        case None:
            return ""
        case bool():
            return value
        case int():
            return value if value in _INTEGERS else _float(value)
        case list():
            return [from_json(member) for member in value]
        case dict():
            return {str(key): from_json(member) for key, member in value.items()}
        case _:
            return value


def assign(table: Table, assignment: Assignment) -> None:
    """Put a value into nested tables. Missing tables are created, other values in the path are replaced; two tables are
    merged."""
    *parents, last = assignment.path
    for key in parents:
        below = table.get(key)
        if not isinstance(below, dict):
            below = table[key] = {}
        table = below
    _put(table, last, assignment.value)


def _put(table: Table, key: str, value: object) -> None:
    present = table.get(key)
    if isinstance(present, dict) and isinstance(value, dict):
        for inner, member in value.items():
            _put(present, inner, member)
    else:
        table[key] = value


def _toml_value(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        parsed = {}
    # A line break in the text could start a second key, so such a text is taken as a string.
    return parsed["value"] if parsed.keys() == {"value"} else text.strip("\"'")


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
