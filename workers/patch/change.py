"""What a patch does to one file, as clients are told it (spec/wire 6.6)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

WireForm: TypeAlias = Literal["baseline", "keyed", "tagged"]
"""How releases wrote a change: up to 0.29, from 0.30, from November 2025."""
WireChange: TypeAlias = str | dict[str, object]


@dataclass(frozen=True, slots=True)
class Add:
    """The file was not there, or was no text."""

    content: str


@dataclass(frozen=True, slots=True)
class Delete:
    content: str
    """What the file held. Bytes that are no text are shown as U+FFFD."""


@dataclass(frozen=True, slots=True)
class Update:
    unified_diff: str
    """Hunks with one line of context, without file headers; empty where only the place changes."""
    move_path: str | None
    """Absolute, where the file gets another name."""


FileChange: TypeAlias = Add | Delete | Update


def on_wire(changes: Mapping[str, FileChange], form: WireForm = "keyed") -> dict[str, WireChange]:
    """Return the map from absolute path to change that events and requests carry."""
    return {path: _FORMS[form](change) for path, change in changes.items()}


def _keyed(change: FileChange) -> WireChange:
    kind, members = _described(change)
    return {kind: members}


def _baseline(change: FileChange) -> WireChange:
    return "delete" if isinstance(change, Delete) else _keyed(change)


def _tagged(change: FileChange) -> WireChange:
    kind, members = _described(change)
    return {"type": kind, **members}


_FORMS: Final[Mapping[WireForm, Callable[[FileChange], WireChange]]] = {
    "baseline": _baseline,
    "keyed": _keyed,
    "tagged": _tagged,
}


def _described(change: FileChange) -> tuple[str, dict[str, object]]:
    match change:
        case Add(content):
            return "add", {"content": content}
        case Delete(content):
            return "delete", {"content": content}
        case Update(unified_diff, move_path):
            return "update", {"unified_diff": unified_diff, "move_path": move_path}
