"""The base of all events, and types that several of them use.

An event is a struct tagged by `type`. Workers construct it, clients receive it as JSON, and docs/wire.md and `greenroom
schema` are generated from it. The first line of a docstring says when the event is sent; `since` names the first
release that had it. Members are sent in their order here; `UNSET` ones are omitted.
"""

from typing import Any, ClassVar, TypeAlias

import msgspec

Counter: TypeAlias = int
Milliseconds: TypeAlias = int
"""Since the epoch."""
Object: TypeAlias = dict[str, Any]


class Event(msgspec.Struct, kw_only=True, tag_field="type"):
    """Base of all events."""

    since: ClassVar[str] = "August 2025"


def type_of(event: Event) -> str:
    """Return the `type` of an event."""
    return str(event.__struct_config__.tag)


class Duration(msgspec.Struct, frozen=True):
    """A duration as two numbers."""

    secs: int
    nanos: int

    @classmethod
    def of(cls, seconds: float) -> "Duration":
        """Return a duration of that many seconds."""
        whole, rest = divmod(round(seconds * 1_000_000_000), 1_000_000_000)
        return cls(whole, rest)
