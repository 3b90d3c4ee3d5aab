"""What a patch does to one file, as clients are told it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


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


def on_wire(changes: Mapping[str, FileChange]) -> dict[str, object]:
    """Return the map from absolute path to change that events and requests carry, as written since November 2025."""
    return {path: _described(change) for path, change in changes.items()}


def _described(change: FileChange) -> dict[str, object]:
    match change:
        case Add(content):
            return {"type": "add", "content": content}
        case Delete(content):
            return {"type": "delete", "content": content}
        case Update(unified_diff, move_path):
            return {"type": "update", "unified_diff": unified_diff, "move_path": move_path}
