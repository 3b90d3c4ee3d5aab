"""Records files before the patches of a turn change them, and shows the result as one diff.

Only files touched by a patch are read, but in their current state, whatever changed them last. `git apply` turns the
old files into the new ones with it, except for files that are not text.
"""

import os

import msgspec

from greenroom.config.reader import Reader
from greenroom.workers.patch.git_diff import file_diff
from greenroom.workers.patch.plan import PatchPlan
from greenroom.workers.patch.snapshot import FileSnapshot, take


class _Change(msgspec.Struct, frozen=True):
    old_name: str
    new_name: str
    before: FileSnapshot | None
    after: FileSnapshot | None


class TurnDiffTracker:
    """The recorder of one turn. It blocks while it reads files."""

    def __init__(self, cwd: str, reader: Reader) -> None:
        """Files outside any git repository are named relative to `cwd`, if they are below it."""
        self._reader = reader
        self._cwd = os.path.realpath(cwd)
        self._before: dict[str, FileSnapshot | None] = {}
        self._moved_from: dict[str, str] = {}
        self._rendered: dict[_Change, str] = {}
        self.last: str | None = None
        """The last result of `render`."""

    @property
    def follows(self) -> bool:
        """Whether any files are recorded."""
        return bool(self._before)

    def begin(self, plan: PatchPlan) -> None:
        """Record the files that a patch is about to touch. Call it before every `apply`."""
        for effect in plan.effects:
            if effect.target not in self._before:
                self._before[effect.target] = take(effect.target, self._reader)
        moves = {effect.target: effect.moved_from for effect in plan.effects if effect.moved_from is not None}
        origins = {target: self._moved_from.get(source, source) for target, source in moves.items()}
        for source in moves.values():
            self._moved_from.pop(source, None)
        self._moved_from |= origins

    def render(self) -> str | None:
        """Return the diff since then, `None` if there is none."""
        changes = sorted(self._changes(), key=lambda change: change.new_name)
        self._rendered = {change: self._render(change) for change in changes}
        self.last = "".join(self._rendered[change] for change in changes) or None
        return self.last

    def _render(self, change: _Change) -> str:
        known = self._rendered.get(change)
        return file_diff(change.old_name, change.new_name, change.before, change.after) if known is None else known

    def _changes(self) -> list[_Change]:
        now = {path: take(path, self._reader) for path in self._before}
        renames = self._renames(now)
        sources = {path: source for source, path in renames.items()}
        return [
            self._change(sources.get(path, path), path, snapshot)
            for path, snapshot in now.items()
            if path not in renames
        ]

    def _change(self, source: str, path: str, now: FileSnapshot | None) -> _Change:
        return _Change(self._name(source), self._name(path), self._before[source], now)

    def _renames(self, now: dict[str, FileSnapshot | None]) -> dict[str, str]:
        """Detected renames, from old path to new; unclear cases are shown as separate changes."""
        renames: dict[str, str] = {}
        for path, source in self._moved_from.items():
            went = self._before.get(source) is not None and now.get(source) is None
            if went and self._before[path] is None and now[path] is not None:
                renames.setdefault(source, path)
        return renames

    def _name(self, path: str) -> str:
        parent = os.path.dirname(path)
        while parent != "/" and not os.path.lexists(os.path.join(parent, ".git")):
            parent = os.path.dirname(parent)
        root = parent if parent != "/" else self._cwd
        return os.path.relpath(path, root) if path.startswith(root + "/") else path.lstrip("/")
