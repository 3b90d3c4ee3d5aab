"""Computes all effects of a patch before anything is changed: the old and new content of each file, or an error.

Sections build on each other: a file added by one section can be updated by the next. Free of I/O; the files are read
through an interface. Whether the changes are permitted is decided elsewhere, from `paths` and the targets of `effects`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import msgspec

from greenroom.protocol.events.file_change import AddedFile, DeletedFile, FileChange, UpdatedFile
from greenroom.workers.patch.diff import unified
from greenroom.workers.patch.errors import PatchMismatchError
from greenroom.workers.patch.language import AddFile, DeleteFile, Patch, PatchSection, UpdateFile
from greenroom.workers.patch.revision import revise

_CONTEXT: Final = 1
"""Unchanged lines around a change, in the diff of one patch."""
_READING: Final = "Failed to read file to update"


class Files(Protocol):
    """The interface for reading files; `greenroom.workers.patch.disk.Disk` implements it for local files."""

    def is_directory(self, path: str) -> bool: ...

    def target(self, path: str, *, follow: bool) -> str:
        """Resolve an absolute path. `follow` is false for files to remove: a symlink is removed itself."""
        ...

    def read(self, target: str) -> bytes | None:
        """Return the content of a target, `None` if it does not exist. Raises `OSError`."""
        ...


class Effect(msgspec.Struct, frozen=True):
    """The effect on one file, of all sections together."""

    path: str
    """Its name in the patch: absolute, with `.` and `..` resolved textually."""
    target: str
    """The path with symlinks resolved."""
    before: bytes | None
    """`None` if the file did not exist."""
    after: bytes | None
    """`None` if the file is removed."""
    moved_from: str | None
    """The previous target of the content, if it was another."""
    is_rename: bool
    """The file did not exist, and none remains at the place that it was moved from."""


@dataclass(frozen=True)
class PatchPlan:
    """A patch that matches the files."""

    effects: tuple[Effect, ...]
    """One for each target that existed or will exist, in the order in which the patch first names them."""
    paths: tuple[str, ...]
    """Every path in the patch, including both ends of moves, as in `Effect.path`."""
    summary: str
    """The message to the model after success."""
    is_empty: bool
    """The patch has no sections."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The files to write or remove, with symlinks resolved."""
        return tuple(effect.target for effect in self.effects)

    @cached_property
    def changes(self) -> Mapping[str, FileChange]:
        """The changes for clients: each by its absolute path, a rename by the old path."""
        renamed = {effect.moved_from: effect for effect in self.effects if effect.is_rename}
        return {
            effect.path: _change(effect, renamed.get(effect.target)) for effect in self.effects if not effect.is_rename
        }


def plan_patch(patch: Patch, cwd: str, files: Files) -> PatchPlan:
    """Match a patch with the files. Paths are relative to `cwd`, which is absolute. Raises `PatchMismatchError`."""
    if not files.is_directory(cwd):
        raise PatchMismatchError(f"The working directory {cwd} does not exist")
    draft = _Draft(cwd, files)
    for section in patch.sections:
        draft.take(section)
    return draft.plan()


class _File(msgspec.Struct):
    """The state of a target after the sections so far."""

    path: str
    before: bytes | None
    now: bytes | None
    origin: str | None
    """The target that had this content before the patch, if any. No two files share one."""


class _Draft:
    def __init__(self, cwd: str, files: Files) -> None:
        self._cwd = cwd
        self._files = files
        self._drafted: dict[str, _File] = {}
        self._paths: dict[str, None] = {}
        self._done: dict[str, dict[str, None]] = {"A": {}, "M": {}, "D": {}}

    def take(self, section: PatchSection) -> None:
        match section:
            case AddFile():
                self._add(section)
            case DeleteFile():
                self._delete(section)
            case UpdateFile():
                self._update(section)

    def _add(self, section: AddFile) -> None:
        file = self._look(section.path, "Failed to write file")
        file.origin = file.origin if file.now is not None else None
        file.now = section.content.encode()
        self._note("A", section.path)

    def _delete(self, section: DeleteFile) -> None:
        file = self._look(section.path, "Failed to delete file", itself=True)
        self._content(file, "Failed to delete file")
        file.now = None
        self._note("D", section.path)

    def _update(self, section: UpdateFile) -> None:
        file = self._look(section.path, _READING, itself=section.move_to is not None)
        text = self._text(file)
        revised = revise(text, section.chunks, self._absolute(section.path)).encode()
        if section.move_to is None:
            file.now = revised
        else:
            self._move(file, revised, section.move_to)
        self._note("M", section.move_to or section.path)

    def _move(self, file: _File, content: bytes, path: str) -> None:
        origin, file.now = file.origin, None
        moved = self._look(path, "Failed to write file")
        moved.now, moved.origin = content, origin

    def _absolute(self, path: str) -> str:
        return "/" + os.path.normpath(os.path.join(self._cwd, path)).lstrip("/")

    def _note(self, letter: str, path: str) -> None:
        self._done[letter][path] = None

    def _look(self, path: str, doing: str, itself: bool = False) -> _File:
        """Return the draft of a file, initialized with its content. `itself` is for a symlink to remove."""
        absolute = self._absolute(path)
        self._paths[absolute] = None
        try:
            return self._begun(absolute, itself)
        except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise PatchMismatchError(f"{doing} {absolute}: {reason}") from error

    def _begun(self, path: str, itself: bool) -> _File:
        here, there = (self._files.target(path, follow=follow) for follow in (False, True))
        # a symlink that was removed before is not followed any more
        target = here if itself or here in self._drafted else there
        if target not in self._drafted:
            content = self._files.read(target)
            now = self._drafted[there].now if there in self._drafted else content
            self._drafted[target] = _File(path, content, now, None if now is None else target)
        return self._drafted[target]

    def _content(self, file: _File, doing: str) -> bytes:
        if file.now is None:
            raise PatchMismatchError(f"{doing} {file.path}: No such file or directory")
        return file.now

    def _text(self, file: _File) -> str:
        try:
            return self._content(file, _READING).decode()
        except UnicodeDecodeError as error:
            raise PatchMismatchError(f"{_READING} {file.path}: it is no UTF-8 text") from error

    def plan(self) -> PatchPlan:
        exist = ((target, file) for target, file in self._drafted.items() if (file.before, file.now) != (None, None))
        return PatchPlan(
            effects=tuple(self._effect(target, file) for target, file in exist),
            paths=tuple(self._paths),
            summary=self._summary(),
            is_empty=not self._paths,
        )

    def _effect(self, target: str, file: _File) -> Effect:
        moved_from = file.origin if file.now is not None and file.origin != target else None
        is_rename = moved_from is not None and file.before is None and self._drafted[moved_from].now is None
        return Effect(file.path, target, file.before, file.now, moved_from, is_rename)

    def _summary(self) -> str:
        done = (f"{letter} {path}\n" for letter, paths in self._done.items() for path in paths)
        return "Success. Updated the following files:\n" + "".join(done)


def _change(effect: Effect, renamed: Effect | None) -> FileChange:
    if renamed is not None:
        return UpdatedFile(_diff(effect.before, renamed.after) or "", renamed.path)
    if effect.after is None:
        return DeletedFile((effect.before or b"").decode(errors="replace"))
    diff = _diff(effect.before, effect.after)
    return AddedFile(effect.after.decode()) if diff is None else UpdatedFile(diff, None)


def _diff(before: bytes | None, after: bytes | None) -> str | None:
    """`None` if there is no text to compare with."""
    try:
        return None if before is None or after is None else unified(before.decode(), after.decode(), _CONTEXT)
    except UnicodeDecodeError:
        return None
