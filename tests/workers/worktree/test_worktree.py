"""A conversation's worktree is made of any kind of repository or refused plainly, and never takes work with it."""

import asyncio
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from greenroom.protocol.errors import ConfigError
from greenroom.protocol.ids import ConversationId
from greenroom.workers.worktree.record import WorktreePlace
from greenroom.workers.worktree.repository_git import RepositoryGit
from greenroom.workers.worktree.worktree import Released, Workplace, Worktree
from tests.workers.jobs.planted import PLANTS, git, prepare, replant
from tests.workers.jobs.planted import Ground as PlantedGround

pytestmark = pytest.mark.processes

ID = ConversationId("01a22660-ce5c-76c0-972b-6bef63ab7d5c")
KEY = "6bef63ab7d5c"
BRANCH = f"greenroom/{KEY}"


class Ground:
    """A home, and a repository with two commits and changes that are not committed."""

    def __init__(self, base: Path) -> None:
        self.home = base / "home"
        self.repository = base / "shop"
        self.run = base / "run"
        for folder in (self.home, self.repository / "sub", self.run):
            folder.mkdir(parents=True)
        self.git("init", "--quiet", "-b", "main")
        (self.repository / "a").write_text("one\n")
        (self.repository / "sub" / "b").write_text("two\n")
        (self.repository / ".gitignore").write_text("*.o\n")
        self.commit("first")
        (self.repository / "a").write_text("changed\n")
        (self.repository / "new").write_text("untracked\n")

    @property
    def path(self) -> Path:
        return self.home / "worktrees" / KEY / "shop"

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        return git(*arguments, cwd=cwd or self.repository).strip()

    def commit(self, message: str, cwd: Path | None = None) -> str:
        self.git("add", "--all", cwd=cwd)
        self.git("commit", "--quiet", "--allow-empty", "-m", message, cwd=cwd)
        return self.git("rev-parse", "HEAD", cwd=cwd)

    def worktree(self, conversation_id: ConversationId = ID) -> Worktree:
        return Worktree(str(self.home), str(self.run), conversation_id)

    def make(self, directory: Path | None = None, conversation_id: ConversationId = ID) -> Workplace:
        return asyncio.run(self.worktree(conversation_id).make(str(directory or self.repository)))

    def restore(self) -> Workplace | None:
        return asyncio.run(self.worktree().restore())

    def release(self) -> Released | None:
        return asyncio.run(self.worktree().release())

    def refused(self, directory: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            self.make(directory)
        assert not (self.home / "worktrees" / KEY).exists()
        return str(caught.value)


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Ground(tmp_path)


# Making


def test_it_is_beside_the_project_on_a_branch_of_its_own_at_the_present_commit(ground: Ground) -> None:
    made = ground.make()
    assert (made.cwd, made.branch, made.notes) == (str(ground.path), BRANCH, ())
    assert (ground.path / "a").read_text() == "one\n"
    assert not (ground.path / "new").exists()
    assert ground.git("status", "--porcelain", cwd=ground.path) == ""
    assert ground.git("symbolic-ref", "--short", "HEAD", cwd=ground.path) == BRANCH
    assert ground.git("rev-parse", BRANCH) == ground.git("rev-parse", "main")
    assert (ground.repository / "a").read_text() == "changed\n"
    assert ground.git("config", "--list", "--local").count("greenroom") == 0


def test_the_conversation_works_in_the_directory_that_it_was_given(ground: Ground) -> None:
    assert ground.make(ground.repository / "sub").cwd == str(ground.path / "sub")


def test_a_directory_that_is_not_in_the_commit_is_told(ground: Ground) -> None:
    (ground.repository / "fresh").mkdir()
    made = ground.make(ground.repository / "fresh")
    assert made.cwd == str(ground.path)
    assert "fresh is not in the commit" in made.notes[0]


def test_of_a_linked_worktree_the_main_repository_gets_it(ground: Ground, tmp_path: Path) -> None:
    ground.git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    commit = ground.commit("on other", tmp_path / "linked")
    made = ground.make(tmp_path / "linked")
    assert made.record.repository == str(ground.repository)
    assert ground.git("rev-parse", "HEAD", cwd=ground.path) == commit


def test_a_bare_repository_has_one_through_a_linked_worktree(ground: Ground, tmp_path: Path) -> None:
    ground.git("clone", "--quiet", "--bare", str(ground.repository), str(tmp_path / "bare.git"))
    ground.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), cwd=tmp_path / "bare.git")
    made = ground.make(tmp_path / "linked")
    assert made.cwd == str(ground.home / "worktrees" / KEY / "bare")
    assert ground.git("rev-parse", "HEAD", cwd=Path(made.cwd)) == ground.git("rev-parse", "main")
    released = ground.release()
    assert released is not None
    assert released.removed


def test_a_shallow_repository_a_detached_head_and_odd_names_are_no_obstacle(ground: Ground, tmp_path: Path) -> None:
    odd = tmp_path / "-odd näme\nwith 'quotes'"
    ground.commit("second")
    ground.git("clone", "--quiet", "--depth", "1", f"file://{ground.repository}", str(odd))
    ground.git("checkout", "--quiet", "--detach", cwd=odd)
    made = ground.make(odd)
    assert os.path.basename(made.cwd) == odd.name
    assert (Path(made.cwd) / "a").exists()
    released = ground.release()
    assert released is not None
    assert released.removed
    assert not os.path.exists(made.cwd)


def test_submodules_are_left_empty_and_told(ground: Ground, tmp_path: Path) -> None:
    ground.git("clone", "--quiet", str(ground.repository), str(tmp_path / "library"))
    ground.git("submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    ground.commit("with a submodule")
    made = ground.make()
    assert "submodules" in made.notes[0]
    assert list((ground.path / "library").iterdir()) == []
    assert ground.release() == Released(True, str(ground.path), BRANCH)


def test_a_filter_that_fails_leaves_its_files_as_they_are_stored(ground: Ground) -> None:
    (ground.repository / ".gitattributes").write_text("*.big filter=big\n")
    (ground.repository / "x.big").write_text("pointer\n")
    ground.commit("big")
    ground.git("config", "filter.big.smudge", "false")
    ground.git("config", "filter.big.clean", "cat")
    ground.git("config", "filter.big.required", "true")
    made = ground.make()
    assert (Path(made.cwd) / "x.big").read_text() == "pointer\n"


KINDS = ("none", "no commit", "bare", "linked .git", "submodule", "foreign .git file", "broken", "no text")


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_none_is_refused_with_the_reason(ground: Ground, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    match kind:
        case "none":
            expected = "is not in a git repository"
        case "no commit":
            ground.git("init", "--quiet", str(place))
            expected = "has no commit yet"
        case "bare":
            ground.git("clone", "--quiet", "--bare", str(ground.repository), str(place / "r"))
            place, expected = place / "r", "is not in a git repository"
        case "linked .git":
            (place / ".git").symlink_to(ground.repository / ".git")
            expected = "is a symbolic link"
        case "submodule":
            ground.git("clone", "--quiet", str(ground.repository), str(tmp_path / "library"))
            ground.git("submodule", "--quiet", "add", str(tmp_path / "library"), "library")
            place, expected = ground.repository / "library", "is a submodule"
        case "foreign .git file":
            ground.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
            shutil.copy(tmp_path / "linked" / ".git", place / ".git")
            expected = "names a repository that does not know it"
        case "no text":
            place, expected = tmp_path / "\udcff", "is not text"
            ground.git("clone", "--quiet", str(ground.repository), str(place))
        case _:
            (place / ".git").mkdir()
            expected = "has no commit yet"
    assert expected in ground.refused(place)


def test_links_in_the_repository_are_not_followed(ground: Ground, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (ground.repository / ".git" / "worktrees").symlink_to(tmp_path / "elsewhere")
    assert "worktrees cannot be written" in ground.refused(ground.repository)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_ten_conversations_of_one_repository_do_not_disturb_each_other(ground: Ground) -> None:
    ids = [ConversationId(f"01a22660-ce5c-76c0-972b-6bef63ab7d{number:02}") for number in range(10)]

    async def make_all() -> list[Workplace]:
        return await asyncio.gather(*(ground.worktree(each).make(str(ground.repository)) for each in ids))

    made = asyncio.run(make_all())
    assert len({each.cwd for each in made}) == len({each.branch for each in made}) == 10
    assert all((Path(each.cwd) / "sub" / "b").exists() for each in made)
    assert len(ground.git("worktree", "list").splitlines()) == 11

    async def release_all() -> list[Released | None]:
        return await asyncio.gather(*(ground.worktree(each).release() for each in ids))

    assert all(released is not None and released.removed for released in asyncio.run(release_all()))
    assert len(ground.git("worktree", "list").splitlines()) == 1
    assert ground.git("branch", "--list", "greenroom/*") == ""


# What a repository names


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> PlantedGround:
    return prepare(tmp_path_factory.mktemp("template") / "ground")


@pytest.mark.parametrize("name", PLANTS)
def test_no_planted_program_does_anything_outside(
    template: PlantedGround, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    planted = replant(template, tmp_path / "ground")
    PLANTS[name](planted)
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        path = planted.workspace / ".git" / "hooks" / hook
        if path.parent.is_dir():
            path.unlink(missing_ok=True)
            shutil.copy(planted.program, path)
    planted.marker.unlink(missing_ok=True)
    for place in planted.base.rglob("STOLEN*"):
        place.unlink()
    worktree = Worktree(str(planted.home), str(planted.base / "run"), ID)

    async def use() -> None:
        try:
            await worktree.make(str(planted.workspace))
        except ConfigError:
            return
        await worktree.release()

    asyncio.run(use())
    outside = [place for place in planted.harm() if not place.startswith(str(planted.home / "worktrees"))]
    assert outside == []


# Removing


def test_one_that_holds_nothing_is_removed_with_its_branch_and_made_again(ground: Ground) -> None:
    ground.make(ground.repository / "sub")
    assert ground.release() == Released(True, str(ground.path), BRANCH)
    assert not ground.path.exists()
    assert ground.git("branch", "--list", BRANCH) == ""
    assert len(ground.git("worktree", "list").splitlines()) == 1
    assert ground.release() is None
    ground.commit("meanwhile")
    again = ground.restore()
    assert again is not None
    assert (again.cwd, again.branch) == (str(ground.path / "sub"), BRANCH)
    assert ground.git("rev-parse", "HEAD", cwd=ground.path) == ground.git("rev-parse", "main~1")


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        ("changed", "files that are in no commit (1 entries, such as a)"),
        ("staged", "files that are in no commit"),
        ("untracked", "files that are in no commit (1 entries, such as x)"),
        ("ignored", "files that are in no commit (1 entries, such as x.o)"),
        ("commit", "commits that no other branch has"),
        ("detached commit", "commits that no other branch has"),
        ("commit on the branch alone", "commits that no other branch has"),
        ("merge", "a git operation is under way in it (MERGE_HEAD)"),
        ("other .git", "no longer a worktree"),
        ("repository gone", "is not there any more"),
    ],
)
def test_one_that_holds_anything_is_kept_and_says_what(ground: Ground, work: str, reason: str) -> None:
    ground.make()
    path = ground.path
    match work:
        case "changed":
            (path / "a").write_text("work\n")
        case "staged":
            (path / "a").write_text("work\n")
            ground.git("add", "a", cwd=path)
        case "untracked":
            (path / "x").write_text("work\n")
        case "ignored":
            (path / "x.o").write_text("work\n")
        case "commit":
            ground.commit("work", path)
        case "detached commit":
            ground.git("checkout", "--quiet", "--detach", cwd=path)
            ground.commit("work", path)
        case "commit on the branch alone":
            ground.commit("work", path)
            ground.git("checkout", "--quiet", "--detach", "main", cwd=path)
        case "merge":
            (Path(ground.git("rev-parse", "--absolute-git-dir", cwd=path)) / "MERGE_HEAD").write_text("x\n")
        case "other .git":
            (path / ".git").write_text("gitdir: /nowhere\n")
        case "repository gone":
            shutil.move(ground.repository, f"{ground.repository}-moved")
    before = sorted(path.rglob("*"))
    released = ground.release()
    assert released is not None
    assert not released.removed
    assert reason in released.reason
    assert sorted(path.rglob("*")) == before


@pytest.mark.parametrize("how", ["merged", "tagged", "pushed"])
def test_commits_that_are_elsewhere_do_not_keep_it(ground: Ground, tmp_path: Path, how: str) -> None:
    ground.make()
    (ground.path / "c").write_text("work\n")
    commit = ground.commit("work", ground.path)
    match how:
        case "merged":
            ground.git("merge", "--quiet", BRANCH)
        case "tagged":
            ground.git("tag", "kept", commit)
        case _:
            ground.git("clone", "--quiet", "--bare", str(ground.repository), str(tmp_path / "remote"))
            ground.git("remote", "add", "origin", str(tmp_path / "remote"))
            ground.git("push", "--quiet", "origin", f"{BRANCH}:work")
            ground.git("fetch", "--quiet", "origin")
    released = ground.release()
    assert released == Released(True, str(ground.path), BRANCH)
    again = ground.restore()
    assert again is not None
    assert (ground.path / "c").exists()
    assert ground.git("rev-parse", "HEAD", cwd=ground.path) == commit


# Found again


def test_it_is_found_again_with_what_it_holds(ground: Ground) -> None:
    made = ground.make()
    (ground.path / "a").write_text("work\n")
    assert ground.restore() == made
    assert ground.make() == made, "a process that died before the conversation was saved"
    assert (ground.path / "a").read_text() == "work\n"


def test_a_conversation_without_one_has_none(ground: Ground) -> None:
    assert ground.restore() is None
    assert ground.release() is None


def test_one_that_somebody_has_deleted_is_made_again_at_its_branch(ground: Ground) -> None:
    ground.make()
    commit = ground.commit("work", ground.path)
    shutil.rmtree(ground.path)
    again = ground.restore()
    assert again is not None
    assert ground.git("rev-parse", "HEAD", cwd=ground.path) == commit
    assert ground.git("symbolic-ref", "--short", "HEAD", cwd=ground.path) == BRANCH


@pytest.mark.parametrize("gone", ["repository", "commit"])
def test_one_that_cannot_be_made_again_is_told(ground: Ground, gone: str) -> None:
    ground.make()
    assert ground.release() is not None
    if gone == "repository":
        shutil.rmtree(ground.repository)
    else:
        place = WorktreePlace(str(ground.home), ID)
        record = place.read()
        assert record is not None
        place.write(msgspec.structs.replace(record, commit="1" * 40))
    with pytest.raises(ConfigError, match=f"the worktree {ground.path} cannot be made again: "):
        ground.restore()


def test_a_record_that_leads_elsewhere_is_none(ground: Ground, tmp_path: Path) -> None:
    ground.make()
    place = WorktreePlace(str(ground.home), ID)
    record = place.read()
    assert record is not None
    for changed in ({"path": str(tmp_path)}, {"conversation_id": "other"}):
        (ground.path.parent / "worktree.json").write_bytes(
            msgspec.json.encode(msgspec.structs.replace(record, **changed))
        )
        assert ground.release() is None
        assert ground.restore() is None
    (ground.path.parent / "worktree.json").write_text("{")
    assert ground.restore() is None
    assert ground.path.exists()


# Killed


class KilledError(BaseException):
    """Stands for the death of the process: nothing is cleaned up."""


@pytest.mark.parametrize("step", ["before the worktree", "locked branch", "before the files", "locked entry"])
def test_a_death_while_it_is_made_blocks_neither_it_nor_others(
    ground: Ground, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise KilledError

    async def nothing(*_: object) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(Worktree, "_withdraw", nothing)
        if step in ("before the worktree", "locked branch"):
            patched.setattr(RepositoryGit, "change", die)
        patched.setattr(RepositoryGit, "check_out", die)
        with pytest.raises(KilledError):
            ground.make()
    shared = ground.repository / ".git"
    if step == "locked branch":
        (shared / "refs" / "heads" / "greenroom").mkdir(exist_ok=True)
        (shared / "refs" / "heads" / "greenroom" / f"{KEY}.lock").touch()
    if step == "locked entry":
        (shared / "worktrees" / "shop" / "locked").write_text("initializing")
    again = ground.restore()
    assert again is not None
    assert (ground.path / "a").read_text() == "one\n"
    other = ground.make(conversation_id=ConversationId("01a22660-ce5c-76c0-972b-000000000001"))
    assert Path(other.cwd).is_dir()
    assert ground.path.is_dir()


def test_what_a_death_has_left_is_cleared_away_by_the_next_one(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    async def die(*_: object) -> None:
        raise KilledError

    async def nothing(*_: object) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(Worktree, "_withdraw", nothing)
        patched.setattr(RepositoryGit, "check_out", die)
        with pytest.raises(KilledError):
            ground.make()
    assert ground.path.exists()
    ground.make(conversation_id=ConversationId("01a22660-ce5c-76c0-972b-000000000001"))
    assert not ground.path.parent.exists()
    assert ground.git("branch", "--list", BRANCH) == ""
    assert len(ground.git("worktree", "list").splitlines()) == 2


def test_a_failure_leaves_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    from greenroom.workers.git import GitError

    async def fail(*_: object) -> None:
        raise GitError("git reset ended with 1")

    monkeypatch.setattr(RepositoryGit, "check_out", fail)
    assert "git reset ended with 1" in ground.refused(ground.repository)
    assert ground.git("branch", "--list", BRANCH) == ""
    assert len(ground.git("worktree", "list").splitlines()) == 1
