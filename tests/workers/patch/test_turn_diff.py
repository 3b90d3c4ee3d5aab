"""The diff of a turn: what git makes of it, and what it says of files that are no plain text."""

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.config.reader import Reader
from greenroom.workers.patch import snapshot
from greenroom.workers.patch.apply import apply_plan
from greenroom.workers.patch.disk import Disk
from greenroom.workers.patch.errors import PatchError
from greenroom.workers.patch.git_diff import quoted
from greenroom.workers.patch.language import parse_patch
from greenroom.workers.patch.plan import plan_patch
from greenroom.workers.patch.turn_diff import TurnDiffTracker

GIT = shutil.which("git")
needs_git = pytest.mark.skipif(GIT is None, reason="needs git")


class Turn:
    """A directory, the patches of a turn, and a copy of how it was."""

    def __init__(self, name: str) -> None:
        self.root = Path(name) / "now"
        self.old = Path(name) / "old"
        self.root.mkdir()
        self.old.mkdir()

    def begin(self) -> None:
        shutil.rmtree(self.old)
        shutil.copytree(self.root, self.old, symlinks=True)
        self.tracker = TurnDiffTracker(str(self.root), Reader(os.devnull))
        self.touched: set[str] = set()

    def patch(self, *lines: str) -> None:
        plan = plan_patch(
            parse_patch("\n".join(["*** Begin Patch", *lines, "*** End Patch"])),
            str(self.root),
            Disk(Reader(os.devnull)),
        )
        self.tracker.begin(plan)
        self.touched.update(plan.targets)
        apply_plan(plan, Disk(Reader(os.devnull)))

    def diff(self) -> str:
        return self.tracker.render() or ""


@pytest.fixture
def turn(tmp_path: Path) -> Turn:
    turn = Turn(str(tmp_path))
    (turn.root / "notes.txt").write_text("one\ntwo\n")
    turn.begin()
    return turn


def files(root: Path) -> dict[str, tuple[str, bytes]]:
    """What git keeps of a directory: no directories, and of modes only whether a file is executable."""
    found: dict[str, tuple[str, bytes]] = {}
    for path in root.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(root))] = ("link", os.fsencode(path.readlink()))
        elif path.is_file():
            kind = "program" if path.stat().st_mode & 0o100 else "file"
            found[str(path.relative_to(root))] = (kind, path.read_bytes())
    return found


def git_makes_the_new_of_the_old(turn: Turn) -> bool:
    diff = turn.diff()
    if diff:
        subprocess.run([str(GIT), "apply"], cwd=turn.old, input=diff.encode(), check=True, env={"GIT_DIR": "/dev/null"})
    return files(turn.old) == files(turn.root)


def test_a_changed_file_is_shown_against_what_it_was(turn: Turn) -> None:
    turn.patch("*** Update File: notes.txt", "@@", "-two", "+TWO")
    assert turn.diff() == (
        "diff --git a/notes.txt b/notes.txt\n"
        "index 814f4a422927b82f5f8a43f8fab6d3839e3983f2..879de50b9a967adae6ab5fe536d4ef6e0af21bb1\n"
        "--- a/notes.txt\n+++ b/notes.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+TWO\n"
    )


def test_an_added_and_updated_file_is_one_new_file(turn: Turn) -> None:
    turn.patch("*** Add File: a.txt", "+foo")
    turn.patch("*** Update File: a.txt", "@@", " foo", "+bar")
    assert turn.diff() == (
        "diff --git a/a.txt b/a.txt\nnew file mode 100644\n"
        "index 0000000000000000000000000000000000000000..3bd1f0e29744a1f32b08d5650e62e2e62afb177c\n"
        "--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1,2 @@\n+foo\n+bar\n"
    )


def test_a_deleted_file_is_shown_whole(turn: Turn) -> None:
    turn.patch("*** Delete File: notes.txt")
    assert turn.diff() == (
        "diff --git a/notes.txt b/notes.txt\ndeleted file mode 100644\n"
        "index 814f4a422927b82f5f8a43f8fab6d3839e3983f2..0000000000000000000000000000000000000000\n"
        "--- a/notes.txt\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-one\n-two\n"
    )


def test_a_renamed_file_is_shown_as_one(turn: Turn) -> None:
    turn.patch("*** Update File: notes.txt", "*** Move to: sub/n.txt", "@@", "-two", "+TWO")
    assert turn.diff() == (
        "diff --git a/notes.txt b/sub/n.txt\nrename from notes.txt\nrename to sub/n.txt\n"
        "index 814f4a422927b82f5f8a43f8fab6d3839e3983f2..879de50b9a967adae6ab5fe536d4ef6e0af21bb1\n"
        "--- a/notes.txt\n+++ b/sub/n.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+TWO\n"
    )


def test_a_mere_rename_is_shown_too(turn: Turn) -> None:
    turn.patch("*** Update File: notes.txt", "*** Move to: n.txt")
    assert turn.diff() == "diff --git a/notes.txt b/n.txt\nrename from notes.txt\nrename to n.txt\n"


def test_a_moved_file_that_did_not_exist_before_the_turn_is_new_where_it_ends(turn: Turn) -> None:
    turn.patch("*** Add File: a", "+x")
    turn.patch("*** Update File: a", "*** Move to: b")
    assert turn.diff().startswith("diff --git a/b b/b\nnew file mode 100644\n")


def test_a_turn_without_lasting_change_has_no_diff(turn: Turn) -> None:
    assert turn.tracker.render() is None
    turn.patch("*** Update File: notes.txt", "@@", "-two", "+TWO", "*** Add File: a", "+x")
    turn.patch("*** Update File: notes.txt", "@@", "-TWO", "+two", "*** Delete File: a")
    assert turn.tracker.render() is None


def test_a_file_stays_in_the_diff_when_others_join(turn: Turn) -> None:
    turn.patch("*** Add File: z", "+z")
    first = turn.diff()
    turn.patch("*** Add File: a", "+a")
    assert turn.diff().endswith(first)
    assert turn.diff().startswith("diff --git a/a b/a\n")


def test_what_commands_do_to_a_patched_file_is_shown(turn: Turn) -> None:
    turn.patch("*** Update File: notes.txt", "@@", "-two", "+TWO")
    (turn.root / "notes.txt").write_text("three\n")
    assert "+three\n" in turn.diff()
    (turn.root / "notes.txt").unlink()
    assert "deleted file mode" in turn.diff()


def test_names_are_relative_to_the_repository(turn: Turn) -> None:
    (turn.root / "repo/sub/.git").mkdir(parents=True)
    (turn.root / "repo/.git").mkdir()
    turn.patch("*** Add File: repo/x", "+", "*** Add File: repo/sub/dir/y", "+", "*** Add File: z", "+")
    names = [line for line in turn.diff().split("\n") if line.startswith("diff")]
    assert names == ["diff --git a/dir/y b/dir/y", "diff --git a/x b/x", "diff --git a/z b/z"]


def test_outside_of_it_they_are_whole(turn: Turn) -> None:
    turn.patch("*** Add File: ../x", "+")
    assert turn.diff().startswith(f"diff --git a{turn.root.parent}/x b{turn.root.parent}/x\n")


def test_of_a_file_that_is_no_text_only_the_difference_is_marked(turn: Turn) -> None:
    turn.patch("*** Update File: notes.txt", "@@", "-two", "+TWO", "*** Add File: new", "+x")
    (turn.root / "notes.txt").write_bytes(b"\xff")
    (turn.root / "new").write_bytes(b"a\0b")
    assert "+++" not in turn.diff()
    assert turn.diff().endswith("\nBinary files a/notes.txt and b/notes.txt differ\n")
    assert "\nBinary files /dev/null and b/new differ\n" in turn.diff()


def test_a_very_large_file_is_marked_alike(turn: Turn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "TEXT_LIMIT", 5)
    turn.patch("*** Add File: a", "+long enough")
    head = subprocess.run([str(GIT), "hash-object", "a"], cwd=turn.root, capture_output=True, text=True, check=True)
    assert f"..{head.stdout.strip()}\nBinary files /dev/null and b/a differ\n" in turn.diff()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a b", "a b"),
        ("caf\u00e9", "caf\u00e9"),
        ('q"uote', '"q\\"uote"'),
        ("tab\tline\n", '"tab\\tline\\n"'),
        ("\x01\x7f", '"\\001\\177"'),
        ("\udcff", '"\\377"'),
    ],
)
def test_a_name_is_written_as_git_does(name: str, written: str) -> None:
    assert quoted(name) == written


@needs_git
def test_git_applies_every_kind_of_change(turn: Turn) -> None:
    (turn.root / "program").write_text("#!/bin/sh\n")
    (turn.root / "program").chmod(0o755)
    (turn.root / "unended").write_text("a\nb")
    (turn.root / "crlf").write_bytes(b"a\r\nb\r\n")
    (turn.root / "link").symlink_to("notes.txt")
    (turn.root / "goner").symlink_to("nowhere")
    turn.begin()
    turn.patch(
        *("*** Update File: link", "@@", "-one", "+1"),
        *("*** Update File: program", "*** Move to: bin/pro gram", "@@", " #!/bin/sh", "+true"),
        *("*** Update File: unended", "@@", "-a", "+A"),
        *("*** Update File: crlf", "@@", "-a", "+A"),
        *("*** Add File: empty",),
        *('*** Add File: new/tab\tquote"\\', "+x"),
        *("*** Delete File: goner",),
    )
    turn.patch("*** Add File: script", "+x")
    (turn.root / "script").chmod(0o755)
    (turn.root / "crlf").chmod(0o755)
    assert git_makes_the_new_of_the_old(turn)


@needs_git
def test_git_applies_a_file_that_became_a_symlink(turn: Turn) -> None:
    turn.patch("*** Update File: notes.txt", "@@", "-two")
    (turn.root / "notes.txt").unlink()
    (turn.root / "notes.txt").symlink_to("elsewhere")
    assert git_makes_the_new_of_the_old(turn)


@needs_git
def test_git_applies_a_chain_of_renames(turn: Turn) -> None:
    turn.patch("*** Update File: notes.txt", "*** Move to: b")
    turn.patch("*** Update File: b", "*** Move to: c", "@@", "+three")
    turn.patch("*** Add File: b", "+new")
    assert git_makes_the_new_of_the_old(turn)
    assert turn.diff().count("rename from notes.txt\nrename to c\n") == 1


NAMES = st.sampled_from(["a", "b", "d/c", "e f"])
TEXT = st.text("ab\n", max_size=12)
LINES = st.lists(st.sampled_from(["+a", "+b", "+", "+\u00e9"]), min_size=1, max_size=4)
SECTIONS = st.one_of(
    st.builds(lambda name, lines: [f"*** Add File: {name}", *lines], NAMES, LINES),
    st.builds(lambda name: [f"*** Delete File: {name}"], NAMES),
    st.builds(lambda name, lines: [f"*** Update File: {name}", *lines], NAMES, LINES),
    st.builds(lambda name, to: [f"*** Update File: {name}", f"*** Move to: {to}"], NAMES, NAMES),
)


@needs_git
@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(NAMES, st.tuples(TEXT, st.booleans())),
    st.lists(st.lists(SECTIONS, min_size=1, max_size=3), max_size=4),
    st.dictionaries(NAMES, TEXT, max_size=1),
)
def test_git_makes_the_new_tree_of_the_old(
    before: dict[str, tuple[str, bool]], patches: list[list[list[str]]], meddled: dict[str, str]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        turn = Turn(name)
        for file, (text, executable) in before.items():
            (turn.root / file).parent.mkdir(exist_ok=True)
            (turn.root / file).write_text(text)
            (turn.root / file).chmod(0o755 if executable else 0o644)
        turn.begin()
        for patch in patches:
            try:
                turn.patch(*(line for section in patch for line in section))
            except PatchError:
                continue
        for file, text in meddled.items():
            if (turn.root / file).exists() and str(turn.root / file) in turn.touched:
                (turn.root / file).write_text(text)
                (turn.root / file).chmod((turn.root / file).stat().st_mode ^ stat.S_IXUSR)
        assert git_makes_the_new_of_the_old(turn)
