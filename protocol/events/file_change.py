"""The effect of a patch on one file, in the form of events and questions."""

from typing import TypeAlias

import msgspec


class AddedFile(msgspec.Struct, frozen=True, tag_field="type", tag="add"):
    """A file that did not exist, or was not text."""

    content: str


class DeletedFile(msgspec.Struct, frozen=True, tag_field="type", tag="delete"):
    """A deleted file."""

    content: str
    """Its former content; bytes that are not text are shown as U+FFFD."""


class UpdatedFile(msgspec.Struct, frozen=True, tag_field="type", tag="update"):
    """A file with new content or, if `move_path` is given, a new name."""

    unified_diff: str
    """Hunks with one line of context, without file headers; empty if only the name changes."""
    move_path: str | None
    """Absolute, if the file is renamed."""


FileChange: TypeAlias = AddedFile | DeletedFile | UpdatedFile
ChangesByPath: TypeAlias = dict[str, FileChange]
"""By absolute path."""


def keyed_changes(changes: ChangesByPath) -> dict[str, object]:
    """Return changes in the form of 2025: under the type of the change, which is not a member of it."""
    return {path: _keyed(change) for path, change in changes.items()}


def baseline_changes(changes: ChangesByPath) -> dict[str, object]:
    """Return changes in the form of August 2025: keyed, and without the content of deleted files."""
    return {path: "delete" if isinstance(change, DeletedFile) else _keyed(change) for path, change in changes.items()}


def _keyed(change: FileChange) -> dict[str, object]:
    return {str(change.__struct_config__.tag): msgspec.structs.asdict(change)}
