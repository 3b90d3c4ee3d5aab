"""Writes and removes files in such a way that everything can be undone until the end.

New contents are written beside their targets and renamed into place; the replaced files are kept under other names
until the end. No file is ever half-written. Only a kill between two renames can leave some of them done; the temporary
files are recorded (`greenroom.sessions.storage.cleanup_journal`).
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeAlias

import msgspec

from greenroom.runtime.files.open_directory import enter
from greenroom.sessions.storage.cleanup_journal import CleanupJournal, beside
from greenroom.workers.patch.errors import PatchRollbackError, PatchWriteError

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_EXISTING: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KEPT_MODE: Final = 0o777
"""Set-user-id and similar bits are not for content from a model."""
_KEPT_ATTRIBUTES: Final = ("user.", "system.posix_acl_access")

_Action: TypeAlias = Callable[[], object]


class _Place(msgspec.Struct, frozen=True):
    """A name in an open directory."""

    directory: int
    folder: str
    """The path of the directory."""
    name: str

    @property
    def path(self) -> str:
        return os.path.join(self.folder, self.name)

    def beside(self) -> "_Place":
        return _Place(self.directory, self.folder, beside())

    def open(self, flags: int) -> int:
        return os.open(self.name, flags, 0o666, dir_fd=self.directory)

    def rename(self, to: "_Place") -> None:
        os.replace(self.name, to.name, src_dir_fd=self.directory, dst_dir_fd=to.directory)

    def link(self, to: "_Place") -> None:
        os.link(self.name, to.name, src_dir_fd=self.directory, dst_dir_fd=to.directory, follow_symlinks=False)

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self.directory)


class Staged(msgspec.Struct, frozen=True):
    """A file that is written but not yet in place."""

    doing: str
    new: _Place
    target: _Place
    replaces: bool


class Transaction:
    """A context manager: on normal exit it commits, on an exception it undoes everything.

    Targets are absolute paths without symlinks. Every method raises `PatchWriteError`; its text begins with what the
    method was `doing`.
    """

    def __init__(self, journal: CleanupJournal) -> None:
        self._journal = journal
        self._undo: list[tuple[str, _Action]] = []
        self._completion: list[_Action] = []
        self._directories: dict[str, int] = {}

    def stage(self, target: str, content: bytes, doing: str, preparing: str, mode: int | None) -> Staged:
        """Write the new content of a file beside it, creating directories as needed (with `preparing`).

        It gets the attributes of the file that it replaces, else `mode`, else the defaults of a new file.
        """
        with _telling(preparing):
            place = self._place(target, make=True)
        with _telling(doing), contextlib.ExitStack() as files:
            old = _open_existing(place, files)
            new = place.beside()
            self._journal.note(new.path)
            descriptor = new.open(_NEW)
            self._undo.append((new.name, new.remove))
            file = files.enter_context(open(descriptor, "wb"))
            if old is not None:
                _take_attributes(descriptor, old)
            elif mode is not None:
                os.fchmod(descriptor, mode & _KEPT_MODE)
            file.write(content)
        return Staged(doing, new, place, old is not None)

    def put(self, staged: Staged) -> None:
        """Rename a staged file into place."""
        with _telling(staged.doing):
            if staged.replaces:
                self._keep(staged.target)
            else:
                self._undo.append((staged.target.name, staged.target.remove))
            staged.new.rename(staged.target)

    def remove(self, target: str, doing: str) -> None:
        """Remove a file or a symlink, but not the symlink's target."""
        with _telling(doing):
            place = self._place(target, make=False)
            kept = place.beside()
            self._journal.note(kept.path, place.name)
            place.rename(kept)
            self._undo.append((target, partial(kept.rename, place)))
            self._completion.append(kept.remove)

    def _keep(self, place: _Place) -> None:
        kept = place.beside()
        self._journal.note(kept.path)
        try:
            place.link(kept)
        except OSError:  # hard links are not supported here, or not permitted
            self._journal.note(kept.path, place.name)
            place.rename(kept)
        self._undo.append((place.name, partial(_restore, kept, place)))
        self._completion.append(kept.remove)

    def _place(self, target: str, make: bool) -> _Place:
        parent, name = os.path.split(target)
        if parent not in self._directories:
            self._directories[parent] = enter(parent, self._made if make else None)
        return _Place(self._directories[parent], parent, name)

    def _made(self, directory: str) -> None:
        self._undo.append((directory, partial(os.rmdir, directory)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._complete()
            else:
                self._take_back(error)
        finally:
            self._journal.clear()
            for directory in self._directories.values():
                os.close(directory)

    def _complete(self) -> None:
        self._journal.settle()
        for action in self._completion:
            with contextlib.suppress(OSError):  # only a hidden file is left over; the changes stand
                action()

    def _take_back(self, error: BaseException) -> None:
        left = [fault for name, action in reversed(self._undo) if (fault := _fault(name, action))]
        if left:
            raise PatchRollbackError(f"{error}\nNot everything could be put back: {', '.join(left)}") from error


def _fault(name: str, action: _Action) -> str | None:
    try:
        action()
    except OSError as error:
        return f"{name} ({error.strerror})"
    return None


def _restore(kept: _Place, place: _Place) -> None:
    kept.rename(place)
    kept.remove()  # rename(2) keeps both names if they are links to one file


@contextlib.contextmanager
def _telling(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PatchWriteError(f"{doing}: {error.strerror or error}") from error


def _open_existing(place: _Place, files: contextlib.ExitStack) -> int | None:
    """Open the file to be replaced for writing, so that missing permissions are reported as usual."""
    try:
        descriptor = place.open(_EXISTING)
    except FileNotFoundError:
        return None
    files.callback(os.close, descriptor)
    return descriptor


def _take_attributes(new: int, old: int) -> None:
    before, after = os.fstat(old), os.fstat(new)
    if (before.st_uid, before.st_gid) != (after.st_uid, after.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(new, before.st_uid, before.st_gid)
    os.fchmod(new, stat.S_IMODE(before.st_mode) & _KEPT_MODE)
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            for name in filter(lambda name: name.startswith(_KEPT_ATTRIBUTES), os.listxattr(old)):
                os.setxattr(new, name, os.getxattr(old, name))
