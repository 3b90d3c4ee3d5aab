"""Wherever in a patch its process is killed: each file is as before or as after it, and nothing else is left."""

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from greenroom.config.reader import Reader
from greenroom.protocol.ids import ConversationId
from greenroom.runtime.files import open_directory as directory
from greenroom.sessions.storage.cleanup_journal import CleanupJournal, beside, clear_away
from greenroom.sessions.storage.lock import FOLDER, WriterLock
from greenroom.workers.patch import transaction
from greenroom.workers.patch.apply import apply_plan
from greenroom.workers.patch.disk import Disk
from greenroom.workers.patch.errors import PatchWriteError
from greenroom.workers.patch.language import parse_patch
from greenroom.workers.patch.plan import PatchPlan, plan_patch

pytestmark = pytest.mark.processes

DYING = ConversationId("6f9619ff-8b86-4d01-b42d-00c04fc964ff")
OTHER = ConversationId("7f9619ff-8b86-4d01-b42d-00c04fc964ff")
PATCH = """\
*** Begin Patch
*** Add File: new/n
+n
*** Update File: u
@@
-a
+b
*** Update File: m
*** Move to: sub/m
@@
-x
+y
*** Delete File: d
*** End Patch"""
BEFORE = {"u": "a\n", "m": "x\n", "d": "old\n"}
AFTER = {"new/n": "n\n", "u": "b\n", "sub/m": "y\n"}
NAMES = BEFORE.keys() | AFTER.keys()


class DeadlySystem:
    """The calls that change the disk; before one of them the process ends, and no `finally` is run."""

    CHANGING = ("open", "replace", "link", "unlink", "fchmod", "mkdir")

    def __init__(self, deadly: int, fails: str = "") -> None:
        self._left = deadly
        self._fails = fails

    def __getattr__(self, name: str) -> object:
        call = getattr(os, name)
        return self._counted(call, name) if name in self.CHANGING else call

    def _counted(self, call: Callable[..., object], name: str) -> Callable[..., object]:
        def counted(*arguments: object, **options: object) -> object:
            self._left -= 1
            if self._left == 0:
                os._exit(9)
            if name == self._fails:
                raise PermissionError(1, "Operation not permitted")
            return call(*arguments, **options)

        return counted


def workspace(path: Path) -> tuple[Path, Path]:
    """Return a home, and a directory with the files that are to be patched."""
    home, work = path / "home", path / "work"
    home.mkdir(parents=True)
    work.mkdir()
    for name, text in BEFORE.items():
        (work / name).write_text(text)
    return home, work


def files(work: Path) -> dict[str, str]:
    return {str(path.relative_to(work)): path.read_text() for path in work.rglob("*") if path.is_file()}


def die_in_a_patch(home: Path, plan: PatchPlan, system: DeadlySystem) -> bool:
    """Apply a patch in a process of its own, and return whether it died of it."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    try:
        transaction.os = directory.os = system  # type: ignore[attr-defined,assignment]
        lock = WriterLock(str(home), DYING)
        apply_plan(plan, Disk(Reader(os.devnull)), None, CleanupJournal(lambda: lock))
    finally:
        os._exit(0)


def plan(work: Path) -> PatchPlan:
    return plan_patch(parse_patch(PATCH), str(work), Disk(Reader(os.devnull)))


@pytest.mark.parametrize("fails", ["", "link"], ids=["hard links", "no hard links"])
@pytest.mark.parametrize("heir", [DYING, OTHER], ids=["resumed", "another conversation leaves"])
def test_wherever_a_patch_is_killed_nothing_is_left_of_it(tmp_path: Path, fails: str, heir: ConversationId) -> None:
    outcomes = set()
    for number in count(1):
        home, work = workspace(tmp_path / str(number))
        died = die_in_a_patch(home, plan(work), DeadlySystem(number, fails))
        WriterLock(str(home), heir).release()
        found = files(work)
        assert found.keys() <= NAMES, f"killed before call {number}"
        for name in NAMES:
            assert found.get(name) in (BEFORE.get(name), AFTER.get(name)), f"killed before call {number}"
        assert "m" in found or "sub/m" in found, "what is moved is always somewhere"
        assert os.listdir(home / FOLDER) == [".coordination.lock"]
        if not died:
            assert found == AFTER
            break
        outcomes.add("nothing" if found == BEFORE else "all" if found == AFTER else "some")
    assert outcomes == {"nothing", "some", "all"}


def test_a_patch_that_ends_leaves_no_notes(tmp_path: Path) -> None:
    home, work = workspace(tmp_path)
    lock = WriterLock(str(home), DYING)
    apply_plan(plan(work), Disk(Reader(os.devnull)), None, CleanupJournal(lambda: lock))
    with pytest.raises(PatchWriteError):
        apply_plan(
            plan_patch(parse_patch(PATCH), str(workspace(tmp_path / "again")[1]), Disk(Reader(os.devnull))),
            Disk(Reader(os.devnull)),
            lambda _: False,
        )
    assert (home / FOLDER / f"{DYING}.lock").read_bytes() == b""
    lock.release()


def test_what_one_process_notes_is_not_cleared_away_while_it_lives(tmp_path: Path) -> None:
    home, work = workspace(tmp_path)
    lock = WriterLock(str(home), DYING)
    kept = work / beside()
    kept.touch()
    CleanupJournal(lambda: lock).note(str(kept))
    WriterLock(str(home), OTHER).release()
    assert kept.exists()
    lock.release()


def test_a_patch_goes_on_where_nothing_can_be_noted(tmp_path: Path) -> None:
    _, work = workspace(tmp_path)

    class Full:
        def append(self, note: bytes) -> None:
            raise OSError(28, "No space left on device")

        def clear(self) -> None:
            raise OSError(28, "No space left on device")

    apply_plan(plan(work), Disk(Reader(os.devnull)), None, CleanupJournal(Full))
    assert files(work) == AFTER


def note(path: Path, stands_for: str = "") -> bytes:
    return os.fsencode(path) + b"\0" + stands_for.encode() + b"\0"


def test_only_files_of_ours_are_cleared_away_and_only_beside_themselves(tmp_path: Path) -> None:
    ours, theirs = tmp_path / beside(), tmp_path / "theirs"
    for path in (ours, theirs):
        path.touch()
    (tmp_path / "link").symlink_to(tmp_path)
    clear_away(note(theirs) + note(ours, "../elsewhere") + note(tmp_path / "link" / ours.name) + note(ours)[:-1])
    assert ours.exists()
    assert theirs.exists()
    clear_away(note(ours, "theirs"))
    assert not ours.exists()
    assert theirs.exists()


def test_what_gave_way_to_a_directory_is_kept(tmp_path: Path) -> None:
    """What was to become of it may not have been written."""
    kept = tmp_path / beside()
    kept.write_text("x\n")
    (tmp_path / "a").mkdir()
    clear_away(note(kept, "a"))
    assert kept.read_text() == "x\n"
