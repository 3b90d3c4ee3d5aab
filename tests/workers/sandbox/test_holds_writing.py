"""Promises about files: what a confined command cannot change, and what it can. Each is shown by trying."""

import os
import subprocess
import tempfile

import pytest

from greenroom.config.tables.sandbox import WorkspaceWritePolicy
from tests.workers.sandbox.cell import SYSTEM_PATH, Cell, Mode, cell
from tests.workers.sandbox.file_attempts import WAYS_TO_WRITE, listing, ways

pytestmark = pytest.mark.processes
WAYS_TO_CREATE = (
    "open({directory!r} + '/new', 'w')",
    "os.mkdir({directory!r} + '/new')",
    "os.symlink('/etc', {directory!r} + '/new')",
    "os.mkfifo({directory!r} + '/new')",
    "os.link({cwd!r} + '/file', {directory!r} + '/new')",
    "os.rename({cwd!r} + '/file', {directory!r} + '/new')",
    "os.open({directory!r}, os.O_TMPFILE | os.O_WRONLY)",
    "socket.socketpair()[0].close() or os.mknod({directory!r} + '/new', 0o140600)",
    "os.rename({directory!r}, {directory!r} + '.moved')",
    "os.rmdir({directory!r})",
)
WAYS_TO_ALTER = (
    "os.chmod({path!r}, 0o777)",
    "os.utime({path!r}, (0, 0))",
    "os.setxattr({path!r}, 'user.greenroom', b'1')",
    "os.chown({path!r}, os.getuid(), os.getgid())",
)


def test_read_only_writes_nowhere(inside: Cell) -> None:
    place = inside.place
    before = listing(place.base)
    names = {"path": f"{place.cwd}/file", "cwd": place.cwd}
    tries = ways(WAYS_TO_WRITE, **names)
    for directory in (place.cwd, place.outside, "/tmp", place.home):
        tries += ways(WAYS_TO_CREATE[:-2], directory=directory, cwd=place.cwd)
    refused = inside.attempt(*ways(WAYS_TO_ALTER, **names), *tries, mode="read-only").refused
    assert len(refused) == len(WAYS_TO_ALTER) + len(tries)
    assert set(refused[: len(WAYS_TO_ALTER)]) == {"EPERM"}
    assert listing(place.base) == before


@pytest.mark.parametrize("mode", ["workspace-write", "online"])
def test_workspace_write_writes_nothing_outside_its_roots(inside: Cell, mode: Mode) -> None:
    place = inside.place
    before = listing(place.outside)
    file, directory = f"{place.outside}/file", place.outside
    tries = ways(WAYS_TO_WRITE, path=file, cwd=place.cwd) + ways(WAYS_TO_CREATE, directory=directory, cwd=place.cwd)
    assert set(inside.attempt(*tries, mode=mode).refused) <= {"EACCES", "EROFS", "EXDEV", "EBUSY"}
    assert listing(place.outside) == before


def test_modes_owners_times_and_attributes_outside_stay(with_view: Cell) -> None:
    place = with_view.place
    assert set(with_view.attempt(*ways(WAYS_TO_ALTER, path=f"{place.outside}/file")).refused) == {"EROFS"}


def test_directory_of_a_call_is_not_a_root(inside: Cell) -> None:
    result = inside.attempt("open('new', 'w')", "open('file', 'a')", cwd=inside.place.outside)
    assert len(result.refused) == 2


def test_link_in_the_workspace_leads_no_further(inside: Cell) -> None:
    place = inside.place
    os.symlink(place.outside, f"{place.cwd}/way-out")
    try:
        assert inside.attempt(
            "open('way-out/file', 'a')", "open('way-out/new', 'w')", "os.unlink('way-out/file')"
        ).refused
    finally:
        os.unlink(f"{place.cwd}/way-out")


@pytest.mark.parametrize("cwd", ["", ".git", ".git/hooks"])
def test_git_directory_stays_as_it_is(inside: Cell, cwd: str) -> None:
    place = inside.place
    git = f"{place.cwd}/.git"
    before = listing(git)
    names = {"cwd": place.cwd}
    tries = [
        *ways(WAYS_TO_WRITE, path=f"{git}/config", **names),
        *ways(WAYS_TO_CREATE, directory=f"{git}/hooks", **names),
        *ways(WAYS_TO_CREATE, directory=git, **names),
        "open('config', 'w')" if cwd == ".git" else "open('/proc/self/cwd/.git/config', 'a')",
        f"os.rename({git!r}, {place.cwd!r} + '/elsewhere')",
    ]
    result = inside.attempt(*tries, cwd=os.path.join(place.cwd, cwd))
    assert set(result.refused) <= {"EACCES", "EROFS", "EXDEV", "EBUSY", "ENOENT", "ENOTDIR"}
    assert listing(git) == before
    assert not os.path.lexists(f"{place.cwd}/stolen")


def test_git_directory_cannot_be_reached_by_another_name(inside: Cell) -> None:
    place = inside.place
    before = listing(f"{place.cwd}/.git")
    script = """
    mkdir -p sub/deep 2>&1 || mkdir -p /tmp/deep
    ln -s ../.git sub/alias; echo bad >> sub/alias/config
    ln .git/config sub/hard && echo bad >> sub/hard
    cp -l .git/config sub/deep/hard && echo bad >> sub/deep/hard
    echo bad >> /proc/self/root$PWD/.git/config
    echo bad >> /proc/self/cwd/.git/config
    exec 9<.git/config; echo bad >> /dev/fd/9; echo bad >> /proc/self/fd/9
    mv -f file .git/config; cp -f file .git/config
    rm -rf .git; mv -T sub .git
    rm -rf sub
    """
    inside.shell(script)
    assert listing(f"{place.cwd}/.git") == before


def test_parents_of_what_is_protected_cannot_be_exchanged(inside: Cell) -> None:
    """Without this a later command would find a `.git` of the former one's making."""
    place = inside.place
    policy = WorkspaceWritePolicy(writable_roots=(place.base,), exclude_slash_tmp=True)
    tries = (
        f"os.rename({place.cwd!r}, {place.base!r} + '/moved')",
        f"os.rename({place.base!r} + '/home', {place.base!r} + '/moved')",
    )
    assert inside.attempt(*tries, policy=policy).refused
    assert os.path.isdir(f"{place.cwd}/.git")


@pytest.mark.parametrize("root", ["", "home", "home/.codex", "/"])
def test_control_files_stay_though_their_directory_is_writable(inside: Cell, root: str) -> None:
    place = inside.place
    before = listing(place.home)
    policy = WorkspaceWritePolicy(writable_roots=(os.path.join(place.base, root),), exclude_slash_tmp=True)
    tries = []
    for name in ("config.toml", "sessions/2025/one.jsonl", "auth.json"):
        tries += ways(WAYS_TO_WRITE, path=f"{place.home}/{name}", cwd=place.cwd)
    for directory in (place.home, f"{place.home}/sessions"):
        tries += ways(WAYS_TO_CREATE, directory=directory, cwd=place.cwd)
    assert len(inside.attempt(*tries, policy=policy).refused) == len(tries)
    assert listing(place.home) == before


def test_link_made_in_place_of_a_root_is_not_followed(inside: Cell) -> None:
    place = inside.place
    target = f"{place.cwd}/target"
    os.symlink(place.outside, target)
    try:
        policy = WorkspaceWritePolicy(writable_roots=(place.cwd,), exclude_slash_tmp=True)
        assert inside.attempt("open('target/new', 'w')", policy=policy).refused
    finally:
        os.unlink(target)


def test_linked_git_directory_is_protected_at_both_ends(inside: Cell) -> None:
    place = inside.place
    root = f"{place.base}/linked"
    os.makedirs(f"{root}/real/hooks")
    os.symlink("real", f"{root}/.git")
    os.lchown(f"{root}/.git", place.user, place.user)
    for directory in (root, f"{root}/real", f"{root}/real/hooks"):
        os.chown(directory, place.user, place.user)
    policy = WorkspaceWritePolicy(writable_roots=(root,), exclude_slash_tmp=True)
    tries = [f"open({root!r} + '/{name}', 'w')" for name in ("real/hooks/new", ".git/new")]
    tries += [f"os.unlink({root!r} + '/.git')", f"os.rename({root!r} + '/.git', {root!r} + '/other')"]
    tries += [f"os.rename({root!r} + '/real', {root!r} + '/other')"]
    assert inside.attempt(*tries, policy=policy).refused


def test_git_file_of_a_work_tree_stays_with_what_it_names(inside: Cell) -> None:
    place = inside.place
    root, real = f"{place.base}/tree", f"{place.base}/data/real"
    if not os.path.exists(root):
        place.write(f"{root}/.git", f"gitdir: {real}\n")
        place.write(f"{real}/HEAD", "ref: refs/heads/main\n")
        for path in (root, f"{root}/.git", f"{place.base}/data", real, f"{real}/HEAD"):
            os.chown(path, place.user, place.user)
    tries = ways(WAYS_TO_WRITE, path=f"{root}/.git", cwd=place.cwd) + ways(
        WAYS_TO_CREATE, directory=real, cwd=place.cwd
    )
    policy = WorkspaceWritePolicy(writable_roots=(root, f"{place.base}/data"), exclude_slash_tmp=True)
    before = listing(root) + listing(real)
    assert inside.attempt(*tries, policy=policy).refused
    assert listing(root) + listing(real) == before


@pytest.mark.parametrize("where", ["tree", "repository"])
@pytest.mark.parametrize("named", [(".git",), (".git/worktrees", ".git/objects"), ()])
def test_git_writes_to_a_repository_that_is_named_and_to_no_other(
    inside: Cell, named: tuple[str, ...], where: str
) -> None:
    place = inside.place
    base = tempfile.mkdtemp(dir=place.base)
    repository, cwd = f"{base}/repository", f"{base}/{where}"
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    # With the time of day in it the commit would now and then lie in the directory that the file's object needs.
    dates = {"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}
    for command in (
        ("init", "-q", repository),
        ("-C", repository, *identity, "commit", "-q", "--allow-empty", "-m", "first"),
        ("-C", repository, "worktree", "add", "-q", f"{base}/tree"),
    ):
        subprocess.run(
            ("git", *command), check=True, env={"PATH": SYSTEM_PATH, "HOME": base, **dates}, capture_output=True
        )
    place.write(f"{cwd}/file", "new\n")
    place.give(base, place.user)
    policy = WorkspaceWritePolicy(
        writable_roots=(cwd, *(f"{repository}/{name}" for name in named)), exclude_slash_tmp=True
    )
    result = inside.shell("git add file; git ls-files", policy=policy, cwd=cwd)
    piecewise = inside.kind == "user without namespaces"  # nothing can be created directly in `objects`
    may = named == (".git",) or (where == "tree" and named != () and not piecewise)
    assert (result.output == "file\n") is may, result.output
    if where == "tree":
        tries = (f"open({cwd!r} + '/.git', 'w')", f"os.unlink({cwd!r} + '/.git')")
        assert inside.attempt(*tries, policy=policy).refused, "what points to the repository was not named"
    if ".git" not in named:
        assert inside.attempt(f"open({repository!r} + '/.git/config', 'a')", policy=policy).refused


def test_our_own_things_are_safe_below_the_common_directory_for_temporary_files() -> None:
    with cell("user", base="/tmp") as inside:
        place = inside.place
        tries = (
            f"open({place.auth!r})",
            f"open({place.home!r} + '/config.toml', 'a')",
            f"os.rename({place.home!r}, '/tmp/moved')",
            f"os.rename({place.base!r}, '/tmp/moved')",
            f"os.unlink({inside.socket!r})",
            f"open({place.runtime!r} + '/new', 'w')",
        )
        assert set(inside.attempt(*tries).refused) <= {"EACCES", "EROFS", "EBUSY", "ENOENT", "EXDEV"}
        script = f"ls -A {place.runtime}; cat {place.home}/config.toml; cd {place.outside}; echo made > new; cat new"
        assert inside.shell(script).output == "model = 'o3'\nmade\n"
