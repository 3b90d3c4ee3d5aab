"""Converts patches from session files to git's diff format, one after the other, as they were applied."""

import os
from collections.abc import Iterable, Iterator, Mapping

from greenroom.workers.patch.diff import unified

CONTEXT = 3
"""Unchanged lines around a change."""


def as_diff(changes: Iterable[Mapping[str, object]], cwd: str | None) -> str:
    """Return the changes of patches, in the form of any release, as text; names of files below `cwd` are relative to
    it."""
    return "".join(part for patch in changes for path in sorted(patch) for part in _file(path, patch[path], cwd))


def _file(path: str, change: object, cwd: str | None) -> Iterator[str]:
    name = _name(path, cwd)
    match change:
        case {"add": {"content": str(content)}} | {"type": "add", "content": str(content)}:
            yield f"diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n"
            yield unified("", content, CONTEXT)
        case {"delete": {"content": str(content)}} | {"type": "delete", "content": str(content)}:
            yield f"diff --git a/{name} b/{name}\ndeleted file mode 100644\n--- a/{name}\n+++ /dev/null\n"
            yield unified(content, "", CONTEXT)
        case {"update": {"unified_diff": str(hunks), **rest}} | {"type": "update", "unified_diff": str(hunks), **rest}:
            moved = rest.get("move_path")
            yield from _update(name, _name(moved, cwd) if isinstance(moved, str) else name, hunks)
        case "delete":
            yield f"diff --git a/{name} b/{name}\ndeleted file mode 100644\n"


def _update(old: str, new: str, hunks: str) -> Iterator[str]:
    yield f"diff --git a/{old} b/{new}\n"
    if old != new:
        yield f"rename from {old}\nrename to {new}\n"
    if hunks:
        yield f"--- a/{old}\n+++ b/{new}\n{hunks}"
        if not hunks.endswith("\n"):
            yield "\n"


def _name(path: str, cwd: str | None) -> str:
    if cwd is not None and path.startswith(cwd.rstrip("/") + "/"):
        return os.path.relpath(path, cwd)
    return path.lstrip("/")
