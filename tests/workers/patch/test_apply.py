"""What a patch does to the disk: all of it, or nothing."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.config.reader import LARGEST, Reader
from greenroom.runtime.files import open_directory as directory
from greenroom.workers.patch import transaction
from greenroom.workers.patch.apply import apply_plan
from greenroom.workers.patch.disk import Disk
from greenroom.workers.patch.errors import PatchError, PatchMismatchError, PatchRollbackError, PatchWriteError
from greenroom.workers.patch.language import parse_patch
from greenroom.workers.patch.plan import PatchPlan, plan_patch


def planned(root: Path, *lines: str, files: Disk | None = None) -> PatchPlan:
    patch = parse_patch("\n".join(["*** Begin Patch", *lines, "*** End Patch"]))
    return plan_patch(patch, str(root), files or Disk(Reader(os.devnull)))


def patched(root: Path, *lines: str, allowed: Callable[[str], bool] | None = None) -> str:
    return apply_plan(planned(root, *lines), Disk(Reader(os.devnull)), allowed)


Tree = dict[str, tuple[int, bytes]]


def tree(root: Path) -> Tree:
    """Everything below a directory: kind and mode, and content."""
    found: Tree = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = b"" if path.is_dir() else os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        found[str(path.relative_to(root))] = (status.st_mode, content)
    return found


def test_every_kind_of_change_is_made_and_told(tmp_path: Path) -> None:
    for name, text in {"u": "a\n", "d": "old\n", "m": "x\n"}.items():
        (tmp_path / name).write_text(text)
    told = patched(
        tmp_path,
        *("*** Add File: new/deep/n", "+n"),
        *("*** Update File: u", "@@", "-a", "+b"),
        *("*** Delete File: d",),
        *("*** Update File: m", "*** Move to: sub/m", "@@", "-x", "+y"),
    )
    assert told == "Success. Updated the following files:\nA new/deep/n\nM u\nM sub/m\nD d\n"
    contents = {name: content for name, (mode, content) in tree(tmp_path).items() if stat.S_ISREG(mode)}
    assert contents == {"new/deep/n": b"n\n", "u": b"b\n", "sub/m": b"y\n"}


def test_an_empty_patch_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PatchWriteError, match=r"^No files were modified\.$"):
        patched(tmp_path)


def test_a_file_keeps_its_mode_also_when_it_moves(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("x\n")
        (tmp_path / name).chmod(0o754)
    patched(tmp_path, *("*** Update File: a", "@@", "-x", "+y"), *("*** Update File: b", "*** Move to: c"))
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ac"] == [0o754, 0o754]


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    patched(tmp_path, "*** Add File: patched", "+x")
    (tmp_path / "written").write_text("x\n")
    assert (tmp_path / "patched").stat().st_mode == (tmp_path / "written").stat().st_mode


def test_a_set_user_id_bit_does_not_survive(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\n")
    (tmp_path / "a").chmod(0o4755)
    patched(tmp_path, "*** Update File: a", "@@", "-x", "+y")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755


def test_extended_attributes_stay(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\n")
    try:
        os.setxattr(tmp_path / "a", "user.note", b"kept")
    except (AttributeError, OSError):
        pytest.skip("no extended attributes here")
    patched(tmp_path, "*** Update File: a", "@@", "-x", "+y")
    assert os.getxattr(tmp_path / "a", "user.note") == b"kept"


def test_a_file_that_does_not_change_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\n")
    before = (tmp_path / "a").stat()
    patched(tmp_path, "*** Update File: a", "@@", "-x", "+x")
    assert (tmp_path / "a").stat() == before


def test_a_file_may_give_way_to_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\n")
    patched(tmp_path, "*** Update File: a", "*** Move to: a/b")
    assert tree(tmp_path)["a/b"][1] == b"x\n"


def test_a_symlink_is_written_through_and_removed_itself(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x\n")
    for name in ("written", "removed", "moved"):
        (tmp_path / name).symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "to-directory").symlink_to(".")
    patched(
        tmp_path,
        *("*** Update File: written", "@@", "-x", "+y"),
        *("*** Delete File: removed", "*** Delete File: dangling", "*** Delete File: to-directory"),
        *("*** Update File: moved", "*** Move to: new"),
    )
    assert {name: content for name, (_, content) in tree(tmp_path).items()} == {
        "real": b"y\n",
        "written": b"real",
        "new": b"y\n",
    }


def test_a_symlink_does_not_lead_out_of_what_may_be_written(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "f").write_text("x\n")
    (inside / "file").symlink_to(outside / "f")
    (inside / "directory").symlink_to(outside)
    before = tree(tmp_path)

    def allowed(path: str) -> bool:
        return path.startswith(f"{inside}/")

    for lines in (
        ["*** Update File: file", "@@", "-x", "+y"],
        ["*** Add File: file", "+y"],
        ["*** Add File: directory/g", "+y"],
        ["*** Delete File: directory/f"],
        ["*** Add File: fine", "+y", "*** Update File: directory/f", "*** Move to: g"],
    ):
        with pytest.raises(PatchWriteError, match="is outside of what may be written"):
            patched(inside, *lines, allowed=allowed)
        assert tree(tmp_path) == before
    patched(inside, "*** Delete File: file", allowed=allowed)
    assert (outside / "f").read_text() == "x\n"


def test_a_directory_that_becomes_a_symlink_after_the_check_is_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "sub").mkdir(parents=True)
    outside.mkdir()

    def allowed(path: str) -> bool:
        (inside / "sub").rmdir()
        (inside / "sub").symlink_to(outside)
        return True

    with pytest.raises(PatchWriteError):
        patched(inside, "*** Add File: sub/f", "+x", allowed=allowed)
    assert list(outside.iterdir()) == []


def test_what_may_not_be_read_cannot_be_carried_elsewhere(tmp_path: Path) -> None:
    secret = tmp_path / "home" / "auth.json"
    secret.parent.mkdir()
    secret.write_text("token\n")
    (tmp_path / "link").symlink_to(secret)
    files = Disk(Reader(str(secret.parent)))
    for name in ("home/auth.json", "link"):
        for lines in ([f"*** Update File: {name}", "*** Move to: copy"], [f"*** Delete File: {name}"]):
            with pytest.raises(PatchMismatchError, match="Permission denied"):
                planned(tmp_path, *lines, files=files)


def test_a_file_that_was_changed_since_the_plan_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\n")
    made = planned(tmp_path, "*** Add File: b", "+b", "*** Update File: a", "@@", "-x", "+y")
    (tmp_path / "a").write_text("mine\n")
    with pytest.raises(PatchWriteError, match="it has been changed since the patch was checked"):
        apply_plan(made, Disk(Reader(os.devnull)))
    assert {name: content for name, (_, content) in tree(tmp_path).items()} == {"a": b"mine\n"}


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", LARGEST + 1)
    os.mkfifo(tmp_path / "pipe")
    for name, reason in {"large": "File too large", "pipe": "Not a regular file"}.items():
        with pytest.raises(PatchMismatchError, match=f"^Failed to read file to update {tmp_path}/{name}: {reason}$"):
            planned(tmp_path, f"*** Update File: {name}", "+x")


def test_a_parent_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\n")
    with pytest.raises(PatchWriteError, match=f"^Failed to create parent directories for {tmp_path}/a/b: "):
        patched(tmp_path, "*** Add File: a/b", "+x")


def test_a_name_that_the_system_does_not_take_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PatchMismatchError, match="File name too long"):
        planned(tmp_path, f"*** Add File: {'x' * 300}", "+x")
    with pytest.raises(PatchMismatchError, match="null"):
        planned(tmp_path, "*** Add File: a\0b", "+x")


PATCH_AS_NOBODY = """
import os, sys
from greenroom.config.reader import Reader
from greenroom.workers.patch.apply import apply_plan
from greenroom.workers.patch.disk import Disk
from greenroom.workers.patch.errors import PatchError
from greenroom.workers.patch.language import parse_patch
from greenroom.workers.patch.plan import plan_patch
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    disk = Disk(Reader(os.devnull))
    apply_plan(plan_patch(parse_patch(sys.stdin.read()), sys.argv[1], disk), disk)
except PatchError as error:
    print(error)
"""


def test_a_read_only_file_is_an_error_and_nothing_else_changes(open_directory: Path) -> None:
    (open_directory / "a").write_text("x\n")
    (open_directory / "a").chmod(0o444)
    before = tree(open_directory)
    text = "*** Begin Patch\n*** Add File: sub/b\n+b\n*** Update File: a\n@@\n-x\n+y\n*** End Patch"
    done = subprocess.run(
        [sys.executable, "-c", PATCH_AS_NOBODY, str(open_directory)],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"Failed to write file {open_directory}/a: Permission denied\n"
    assert tree(open_directory) == before


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user reaches and may write to."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


FOUR_CHANGES = (
    *("*** Add File: new/n", "+n"),
    *("*** Update File: u", "@@", "-a", "+b"),
    *("*** Update File: m", "*** Move to: sub/m", "@@", "-x", "+y"),
    *("*** Delete File: d",),
)


def _four_files(root: Path) -> None:
    for name, text in {"u": "a\n", "d": "old\n", "m": "x\n"}.items():
        (root / name).write_text(text)
        (root / name).chmod(0o640)


class FailingSystem:
    """The calls that change the disk; the one of a given number fails."""

    CHANGING = ("open", "replace", "link", "unlink", "fchmod", "mkdir")

    def __init__(self, fails_at: int) -> None:
        self._left = fails_at
        self.failed = False

    def __getattr__(self, name: str) -> object:
        call = getattr(os, name)
        return self._counted(call) if name in self.CHANGING else call

    def _counted(self, call: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object, **options: object) -> object:
            self._left -= 1
            if self._left == 0:
                self.failed = True
                raise OSError(28, "No space left on device")
            return call(*arguments, **options)

        return counted


def test_whichever_call_fails_all_files_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {_outcome_with_failing_call(number, monkeypatch) for number in range(1, 60)}
    # Without a hard link there is a rename, and what cannot be tidied away in the end does no harm.
    assert outcomes == {"refused", "done in spite of it", "done"}


def _outcome_with_failing_call(number: int, monkeypatch: pytest.MonkeyPatch) -> str:
    with tempfile.TemporaryDirectory() as name, monkeypatch.context() as patching:
        root = Path(name)
        _four_files(root)
        before, made, system = tree(root), planned(root, *FOUR_CHANGES), FailingSystem(number)
        patching.setattr(transaction, "os", system)
        patching.setattr(directory, "os", system)
        refusal = _refusal(made)
        if refusal is not None:
            assert "No space left on device" in refusal
            assert tree(root) == before
            return "refused"
        assert (root / "sub/m").read_text() == "y\n"
        return "done in spite of it" if system.failed else "done"


def _refusal(plan: PatchPlan) -> str | None:
    try:
        apply_plan(plan, Disk(Reader(os.devnull)))
    except PatchWriteError as error:
        return str(error)
    return None


def test_what_cannot_be_put_back_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _four_files(tmp_path)
    made = planned(tmp_path, *FOUR_CHANGES)

    def broken(*arguments: object, **options: object) -> None:
        raise OSError(5, "Input/output error")

    rename: Callable[..., None] = os.replace
    renames = iter([rename, rename, broken])

    def replace(*arguments: object, **options: object) -> None:
        next(renames, rename)(*arguments, **options)

    calls = {name: getattr(os, name) for name in dir(os)} | {"unlink": broken, "replace": replace}
    monkeypatch.setattr(transaction, "os", SimpleNamespace(**calls))
    with pytest.raises(PatchRollbackError, match=r"Input/output error\nNot everything could be put back: .*u \(Input"):
        apply_plan(made, Disk(Reader(os.devnull)))


def test_an_interruption_puts_everything_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _four_files(tmp_path)
    before = tree(tmp_path)
    made = planned(tmp_path, *FOUR_CHANGES)

    def interrupted(self: object, target: str, doing: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(transaction.Transaction, "remove", interrupted)
    with pytest.raises(KeyboardInterrupt):
        apply_plan(made, Disk(Reader(os.devnull)))
    assert tree(tmp_path) == before


def test_files_are_replaced_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _four_files(tmp_path)

    def no_links(*arguments: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    patched(tmp_path, *FOUR_CHANGES)
    assert sorted(tree(tmp_path)) == ["new", "new/n", "sub", "sub/m", "u"]


NAMES = ("a", "b", "c/d")
GOOD = """\
*** Begin Patch
*** Update File: a
@@ 1
-2
+two
@@
-9
*** Add File: x/y
+1
+2
*** Update File: b
*** Move to: e
@@
 4
+new
 5
*** Delete File: c/d
*** End Patch"""
MUTATIONS = st.lists(
    st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), st.text("+- @*\n1249abcdexy/", max_size=5)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(MUTATIONS)
def test_a_mutilated_patch_changes_all_files_or_none(mutations: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for at, size, replacement in mutations:
        text = text[:at] + replacement + text[at + size :]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        for file in NAMES:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text("".join(f"{number}\n" for number in range(10)))
        before = tree(root)
        expected: dict[str, bytes | None] = {}
        try:
            plan = plan_patch(parse_patch(text), str(root), Disk(Reader(os.devnull)))
            expected = {effect.target: effect.after for effect in plan.effects}
            apply_plan(plan, Disk(Reader(os.devnull)), lambda path: path.startswith(f"{root}/"))
        except PatchError:
            assert tree(root) == before
        else:
            after = {str(root / name): content for name, (mode, content) in tree(root).items() if stat.S_ISREG(mode)}
            untouched = {str(root / name): before[name][1] for name in NAMES if str(root / name) not in expected}
            made = {path: content for path, content in expected.items() if content is not None}
            assert after == untouched | made
