"""The effect of a patch on one file, in the form for clients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Add:
    """The file did not exist, or was not text."""

    content: str


@dataclass(frozen=True, slots=True)
class Delete:
    content: str
    """The former content. Bytes that are not text are shown as U+FFFD."""


@dataclass(frozen=True, slots=True)
class Update:
    unified_diff: str
    """Hunks with one line of context, without file headers; empty if only the name changes."""
    move_path: str | None
    """Absolute, if the file is renamed."""


FileChange: TypeAlias = Add | Delete | Update


def on_wire(changes: Mapping[str, FileChange]) -> dict[str, object]:
    """Return the map from absolute path to change in events and requests, in the form used since November 2025."""
    return {path: _described(change) for path, change in changes.items()}


def _described(change: FileChange) -> dict[str, object]:
    match change:
        case Add(content):
            return {"type": "add", "content": content}
        case Delete(content):
            return {"type": "delete", "content": content}
        case Update(unified_diff, move_path):
            return {"type": "update", "unified_diff": unified_diff, "move_path": move_path}
