"""Formats the difference of one file for `git apply`."""

import re
from collections.abc import Iterator
from typing import Final

from greenroom.workers.patch.diff import unified
from greenroom.workers.patch.snapshot import NO_BLOB, FileSnapshot

_CONTEXT: Final = 3
_ABSENT: Final = "/dev/null"
_UNQUOTED: Final = re.compile(r'[^\x00-\x1f\x7f"\\\ud800-\udfff]*')
_ESCAPES: Final = {"\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", '"': '"', "\\": "\\"}


def file_diff(old_name: str, new_name: str, before: FileSnapshot | None, after: FileSnapshot | None) -> str:
    """Return the diff, with three lines of context; empty if there is no difference.

    Names are relative to the directory where the diff will be applied. They differ for a rename. For a file that is not
    text the diff only says that it differs.
    """
    if (before, old_name) == (after, new_name) or (before is None and after is None):
        return ""
    if before is not None and after is not None and before.is_link != after.is_link:
        return file_diff(old_name, old_name, before, None) + file_diff(new_name, new_name, None, after)
    return "".join(_parts(old_name, new_name, before, after))


def _parts(old_name: str, new_name: str, before: FileSnapshot | None, after: FileSnapshot | None) -> Iterator[str]:
    old, new = quoted(f"a/{old_name}"), quoted(f"b/{new_name}")
    yield f"diff --git {old} {new}\n"
    yield from _modes(before, after)
    if old_name != new_name:
        yield f"rename from {quoted(old_name)}\nrename to {quoted(new_name)}\n"
    old_blob, new_blob = _blob(before), _blob(after)
    if old_blob == new_blob:
        return
    yield f"index {old_blob}..{new_blob}\n"
    yield _content(old if before else _ABSENT, new if after else _ABSENT, before, after)


def _modes(before: FileSnapshot | None, after: FileSnapshot | None) -> Iterator[str]:
    if before is None:
        yield f"new file mode {after.mode}\n" if after else ""
    elif after is None:
        yield f"deleted file mode {before.mode}\n"
    elif before.mode != after.mode:
        yield f"old mode {before.mode}\nnew mode {after.mode}\n"


def _blob(snapshot: FileSnapshot | None) -> str:
    return snapshot.blob if snapshot else NO_BLOB


def _content(old: str, new: str, before: FileSnapshot | None, after: FileSnapshot | None) -> str:
    old_text, new_text = (snapshot.text if snapshot else "" for snapshot in (before, after))
    if old_text is None or new_text is None:
        return f"Binary files {old} and {new} differ\n"
    hunks = unified(old_text, new_text, _CONTEXT)
    return f"--- {old}\n+++ {new}\n{hunks}" if hunks else ""


def quoted(name: str) -> str:
    """Quote a name as git does if it contains characters that would end or garble a line."""
    if _UNQUOTED.fullmatch(name):
        return name
    return '"' + "".join(_escaped(character) for character in name) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return "\\" + _ESCAPES[character]
    if _UNQUOTED.fullmatch(character):
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode(errors="surrogateescape"))
