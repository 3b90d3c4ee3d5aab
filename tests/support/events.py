"""Events for tests of which only some members matter."""

from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from greenroom.protocol.events.event import Event
from greenroom.protocol.events.table import EVENTS

_BLANKS: Final[tuple[object, ...]] = (
    "",
    0,
    False,
    [],
    {},
    {"secs": 0, "nanos": 0},
    {"server": "", "tool": "", "arguments": None},
    None,
)


def event(kind: str, **members: Any) -> Event:
    """Return an event of a type with these members; missing required members are blank."""
    model = EVENTS[kind]
    blank = {field.name: _blank(field.type) for field in msgspec.structs.fields(model) if field.required}
    return msgspec.convert({"type": kind, **blank, **msgspec.to_builtins(members)}, model)


def members(told: Event) -> dict[str, Any]:
    """Return an event as clients read it, without its times."""
    found: dict[str, Any] = msgspec.to_builtins(told)
    return {name: value for name, value in found.items() if not name.endswith("_at_ms")}


def _blank(kind: Any) -> object:
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    for value in _BLANKS:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            continue
        return value
    raise AssertionError(f"no blank for {kind}")
