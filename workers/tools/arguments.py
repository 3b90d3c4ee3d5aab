"""Parses the arguments of a tool call; errors are reported to the model.

Models deviate from the schema in several ways: a number or a boolean as a string, the whole object as a string, a
member under another program's name. All of that is accepted, since the meaning is clear.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from greenroom.workers.tools.types import ToolFailure

T = TypeVar("T")

PREFIX: Final = "failed to parse function arguments: "

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
_decode: Final = msgspec.json.Decoder(dict[str, Any] | str).decode
_NO_ALIASES: Final[Mapping[str, str]] = {}


def parse_arguments(arguments: str, form: type[T], aliases: Mapping[str, str] = _NO_ALIASES) -> T:
    """Decode JSON arguments into a struct. Raises `ToolFailure` with the error for the model.

    `aliases` maps alternative names of members to the struct's names.
    """
    try:
        return msgspec.convert(_renamed(members(arguments), aliases), form, strict=False)
    except UNREADABLE as error:
        raise ToolFailure(f"{PREFIX}{error}") from error


def members(arguments: str) -> dict[str, Any]:
    """Return the members of an object, even if it is encoded as a string once more. Raises `ToolFailure`."""
    try:
        found: dict[str, Any] | str = _decode(arguments)
        inner: dict[str, Any] | str = _decode(found) if isinstance(found, str) else found
    except UNREADABLE as error:
        raise ToolFailure(f"{PREFIX}{error}") from error
    if isinstance(inner, str):
        raise ToolFailure(f"{PREFIX}Expected `object`, got `str`")
    return inner


def _renamed(given: dict[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    for alias in aliases.keys() & given.keys():
        name, value = aliases[alias], given.pop(alias)
        if value is None or value == given.get(name):
            continue
        if given.get(name) not in (None, ""):
            raise ToolFailure(f"{PREFIX}`{name}` and `{alias}` are given, which mean the same, and they differ")
        given[name] = value
    return given
