"""Promises about files: what a confined command cannot change and cannot read. Each is shown by trying."""

import os
import subprocess
import tempfile
import threading

import psutil
import pytest

from greenroom.config.sandbox import WorkspaceWrite
from greenroom.workers.sandbox.home_links import trail
from tests.support.deadline import until
from tests.workers.sandbox.cell import SYSTEM_PATH, Cell, Mode, cell

pytestmark = pytest.mark.processes

CONFINED: list[Mode] = ["read-only", "workspace-write", "online"]

WAYS_TO_WRITE = (
    "open({path!r}, 'w')",
    "open({path!r}, 'a')",
    "os.open({path!r}, os.O_RDONLY | os.O_TRUNC)",
    "os.truncate({path!r}, 0)",
    "os.unlink({path!r})",
    "os.rename({path!r}, {path!r} + '.new')",
    "os.rename({path!r}, {cwd!r} + '/stolen')",
    "os.link({path!r}, {cwd!r} + '/linked')",
    "os.rename({cwd!r} + '/file', {path!r})",
)
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


def ways(patterns: tuple[str, ...], **names: str) -> list[str]:
    return [pattern.format(**names) for pattern in patterns]


def listing(directory: str) -> list[tuple[str, int, int]]:
    """What a directory holds, with modes and sizes."""
    found = []
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            facts = os.lstat(os.path.join(parent, name))
            found.append((os.path.join(parent, name), facts.st_mode, facts.st_size))
    return sorted(found)


# Writing


def test_read_only_writes_nowhere(inside: Cell) -> None:
    place = inside.place
    before = listing(place.base)
    for directory in (place.cwd, place.outside, "/tmp", place.home):
        tries = ways(WAYS_TO_CREATE[:-2], directory=directory, cwd=place.cwd)
        assert inside.attempt(*tries, mode="read-only").refused
    names = {"path": f"{place.cwd}/file", "cwd": place.cwd}
    assert inside.attempt(*ways(WAYS_TO_WRITE, **names), mode="read-only").refused
    assert set(inside.attempt(*ways(WAYS_TO_ALTER, **names), mode="read-only").refused) == {"EPERM"}
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
    policy = WorkspaceWrite(writable_roots=(place.base,), exclude_slash_tmp=True)
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
    policy = WorkspaceWrite(writable_roots=(os.path.join(place.base, root),), exclude_slash_tmp=True)
    for name in ("config.toml", "sessions/2025/one.jsonl", "auth.json"):
        tries = ways(WAYS_TO_WRITE, path=f"{place.home}/{name}", cwd=place.cwd)
        assert inside.attempt(*tries, policy=policy).refused
    for directory in (place.home, f"{place.home}/sessions"):
        tries = ways(WAYS_TO_CREATE, directory=directory, cwd=place.cwd)
        assert inside.attempt(*tries, policy=policy).refused
    assert listing(place.home) == before


def test_link_made_in_place_of_a_root_is_not_followed(inside: Cell) -> None:
    place = inside.place
    target = f"{place.cwd}/target"
    os.symlink(place.outside, target)
    try:
        policy = WorkspaceWrite(writable_roots=(place.cwd,), exclude_slash_tmp=True)
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
    policy = WorkspaceWrite(writable_roots=(root,), exclude_slash_tmp=True)
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
    policy = WorkspaceWrite(writable_roots=(root, f"{place.base}/data"), exclude_slash_tmp=True)
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
    policy = WorkspaceWrite(writable_roots=(cwd, *(f"{repository}/{name}" for name in named)), exclude_slash_tmp=True)
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


# Reading


@pytest.mark.parametrize("mode", CONFINED)
def test_credentials_cannot_be_read(inside: Cell, mode: Mode) -> None:
    place = inside.place
    os.symlink(place.auth, f"{place.cwd}/by-link")
    script = f"""
    cat {place.auth} {place.home}/.auth.store.lock by-link
    cat /proc/self/root{place.auth} /proc/{inside.pid}/root{place.auth} /proc/{inside.pid}/cwd{place.auth}
    cd {place.home} && cat auth.json ./././auth.json && cat < auth.json
    ln {place.auth} {place.cwd}/by-hard-link && cat {place.cwd}/by-hard-link
    mv {place.auth} {place.cwd}/moved && cat {place.cwd}/moved
    cp {place.auth} {place.cwd}/copied; tar cf - {place.home} | cat; grep -ra sk-the {place.base}/home
    exec 7<{place.auth} && cat /proc/self/fd/7
    unshare -Urm sh -c 'mkdir -p /tmp/b && mount --bind {place.home} /tmp/b && cat /tmp/b/auth.json'
    mount --bind {place.home} /mnt && cat /mnt/auth.json
    chmod 777 {place.auth}
    """
    try:
        result = inside.shell(script, mode)
    finally:
        os.unlink(f"{place.cwd}/by-link")
    assert place.secret not in result.output
    assert place.read(place.auth) == place.secret
    if inside.kind != "user without namespaces":  # Landlock does not see modes, and says so in its limits
        assert os.stat(place.auth).st_mode & 0o777 == 0o644


@pytest.mark.parametrize("mode", CONFINED)
def test_credentials_cannot_be_opened_in_any_manner(inside: Cell, mode: Mode) -> None:
    auth = inside.place.auth
    tries = (
        f"open({auth!r})",
        f"os.open({auth!r}, os.O_RDWR)",
        f"open('/proc/self/fd/%d' % os.open({auth!r}, os.O_PATH))",
        f"os.open('auth.json', os.O_RDONLY, dir_fd=os.open({inside.place.home!r}, os.O_PATH))",
        f"open('/proc/{inside.pid}/root' + {auth!r})",
        f"os.execv({auth!r}, ['x'])",
        f"os.link({auth!r}, 'stolen')",
        f"os.rename({auth!r}, 'stolen')",
    )
    assert set(inside.attempt(*tries, mode=mode).refused) <= {"EACCES", "ENOENT", "EXDEV", "EROFS", "EPERM", "EBUSY"}


@pytest.mark.parametrize("root", ["", "home", "home/.codex", "/"])
def test_credentials_cannot_be_read_though_their_directory_is_writable(inside: Cell, root: str) -> None:
    place = inside.place
    policy = WorkspaceWrite(writable_roots=(os.path.join(place.base, root),), exclude_slash_tmp=True)
    result = inside.shell(f"cat {place.home}/auth.json {place.home}/.auth.store.lock", policy=policy)
    assert place.secret not in result.output
    assert "model = 'o3'" in inside.shell(f"cat {place.home}/config.toml", policy=policy).output


@pytest.mark.parametrize("roots", [(), ("home",)])
@pytest.mark.parametrize("mode", ["read-only", "workspace-write"])
def test_credentials_written_while_a_command_runs_cannot_be_read(
    inside: Cell, roots: tuple[str, ...], mode: Mode
) -> None:
    place = inside.place
    gate = f"{place.outside}/gate"
    os.mkfifo(gate, 0o644)
    os.chown(gate, place.user, place.user)
    roots = tuple(os.path.join(place.base, root) for root in roots)
    policy = WorkspaceWrite(writable_roots=roots) if roots else None
    outputs: list[str] = []
    script = f"cat {gate}; cat {place.auth} {place.home}/auth.json.1.tmp {place.home}/*"
    thread = threading.Thread(target=lambda: outputs.append(inside.shell(script, mode, policy=policy).output))
    thread.start()
    with open(gate, "w") as opened:  # returns once the command reads
        place.write(f"{place.home}/auth.json.1.tmp", place.secret)
        place.write(f"{place.home}/auth.json.2.tmp", place.secret)
        os.rename(f"{place.home}/auth.json.2.tmp", place.auth)
        opened.write("go\n")
    thread.join()
    os.unlink(gate)
    os.unlink(f"{place.home}/auth.json.1.tmp")
    assert "go" in outputs[0]
    assert place.secret not in outputs[0]


def test_rules_made_for_the_command_before_are_no_way_to_what_has_changed_since(inside: Cell) -> None:
    place = inside.place
    first, second = f"{place.home}/first", f"{place.home}/second"
    place.write(first, place.secret)
    os.chown(first, place.user, place.user)
    assert place.secret in inside.shell(f"cat {first}", "read-only").output
    until(lambda: _monitor_with_child(inside.pid))
    os.rename(first, place.auth)
    place.write(second, "new")
    os.chmod(second, 0o644)
    result = inside.shell(f"cat {second} {place.auth} {first}", "read-only")
    os.unlink(second)
    assert "new" in result.output
    assert place.secret not in result.output


def _monitor_with_child(pid: int) -> bool:
    """Whether some command could be started at once, with what is known from the one before."""
    zygotes = psutil.Process(pid).children()
    try:
        return any(monitor.children() for zygote in zygotes for monitor in zygote.children())
    except psutil.NoSuchProcess:  # the monitor of a command that has just ended
        return False


def test_linked_credentials_cannot_be_read_at_the_goal_of_the_link(inside: Cell) -> None:
    place = inside.place
    os.rename(place.auth, f"{place.outside}/elsewhere.json")
    os.symlink(f"{place.outside}/elsewhere.json", place.auth)
    try:
        output = inside.shell(f"cat {place.outside}/elsewhere.json {place.auth}; cat {place.outside}/file").output
        assert place.secret not in output
        assert "outside" in output
    finally:
        os.rename(f"{place.outside}/elsewhere.json", place.auth)


SETTINGS_WITH_SECRET = "[model_providers.x]\nexperimental_bearer_token = '{}'\n"


@pytest.mark.parametrize(
    "name", ["config.toml", "work.config.toml", "config.toml~", ".config.toml.swp", "CONFIG.TOML.bak"]
)
@pytest.mark.parametrize("mode", CONFINED)
def test_settings_cannot_be_read_while_a_secret_stands_in_them(inside: Cell, mode: Mode, name: str) -> None:
    place = inside.place
    path, usual = f"{place.home}/{name}", place.read(f"{place.home}/config.toml")
    look = f"cat {place.home}/{name} {place.home}/config.toml; cat {place.home}/sessions/2025/one.jsonl"
    place.write(path, SETTINGS_WITH_SECRET.format(place.secret))
    os.chown(path, place.user, place.user)
    try:
        shown = inside.shell(look, mode).output
        assert place.secret not in shown
        assert "{}" in shown
    finally:
        os.unlink(path)
        place.write(f"{place.home}/config.toml", usual)
        os.chown(f"{place.home}/config.toml", place.user, place.user)
    assert "model = 'o3'" in inside.shell(look, mode).output


@pytest.mark.parametrize("root", ["home", "home/.codex", "/"])
def test_settings_with_a_secret_cannot_be_read_though_their_directory_is_writable(inside: Cell, root: str) -> None:
    place = inside.place
    policy = WorkspaceWrite(writable_roots=(os.path.join(place.base, root),), exclude_slash_tmp=True)
    path = f"{place.home}/more.toml"
    place.write(path, SETTINGS_WITH_SECRET.format(place.secret))
    try:
        assert place.secret not in inside.shell(f"cat {path} {place.home}/*", policy=policy).output
    finally:
        os.unlink(path)


@pytest.mark.parametrize("mode", CONFINED)
def test_a_hard_link_of_credentials_in_the_home_cannot_be_read(inside: Cell, mode: Mode) -> None:
    place = inside.place
    os.link(place.auth, f"{place.home}/zz")
    try:
        assert place.secret not in inside.shell(f"cat {place.home}/zz {place.auth}", mode).output
    finally:
        os.unlink(f"{place.home}/zz")


@pytest.mark.parametrize("kind", ["link", "chain", "link above", "relative link"])
def test_no_link_on_the_way_to_the_home_can_be_replaced(inside: Cell, kind: str) -> None:
    """The next server follows the name, not what it led to when this one began."""
    place = inside.place
    root, home = f"{place.base}/user-{kind.replace(' ', '-')}", place.home
    os.makedirs(f"{root}/deep")
    name = f"{root}/cfg"
    match kind:
        case "link":
            os.symlink(home, name)
        case "chain":
            os.symlink("deep/second", name)
            os.symlink(home, f"{root}/deep/second")
        case "link above":
            os.symlink(os.path.dirname(home), f"{root}/deep/above")
            name = f"{root}/deep/above/{os.path.basename(home)}"
        case "relative link":
            os.symlink(os.path.relpath(home, root), name)
    for directory, names, files in os.walk(root):
        for path in (directory, *(os.path.join(directory, one) for one in (*names, *files))):
            os.lchown(path, place.user, place.user)
    links = [path for path in trail(name)[:-1] if path.startswith(root)]
    before = [os.lstat(link).st_ino for link in links]
    policy = WorkspaceWrite(writable_roots=(root,), exclude_slash_tmp=True)
    script = f"""
    cd {root}
    for link in cfg deep/second deep/above; do
      [ -L $link ] || continue
      rm -f $link; mv $link gone; ln -sfn /tmp $link; mv -T deep $link; mkdir $link
      python3 -c "import os; os.rename('$link', 'gone')"
    done
    mv deep gone; mv {root} {place.base}/gone
    """
    inside.shell(script, policy=policy, cwd=place.cwd, home_name=name)
    assert before
    assert [os.lstat(link).st_ino for link in links] == before
    assert os.path.realpath(name) == home


def test_linked_settings_of_the_home_cannot_be_changed_at_their_goal(inside: Cell) -> None:
    place = inside.place
    dotfiles = f"{place.base}/dotfiles"
    os.makedirs(f"{dotfiles}/codex")
    for name in ("one.config.toml", "AGENTS.md"):
        place.write(f"{dotfiles}/codex/{name}", "mine\n")
        os.symlink(f"{dotfiles}/codex/{name}", f"{place.home}/{name}")
    for path in (
        dotfiles,
        f"{dotfiles}/codex",
        *(f"{dotfiles}/codex/{name}" for name in os.listdir(f"{dotfiles}/codex")),
    ):
        os.chown(path, place.user, place.user)
    before = listing(dotfiles)
    policy = WorkspaceWrite(writable_roots=(dotfiles,), exclude_slash_tmp=True)
    try:
        for name in ("one.config.toml", "AGENTS.md"):
            path = f"{dotfiles}/codex/{name}"
            assert inside.attempt(*ways(WAYS_TO_WRITE, path=path, cwd=place.cwd), policy=policy).refused
        assert inside.attempt(f"os.rename({dotfiles!r} + '/codex', {dotfiles!r} + '/gone')", policy=policy).refused
        assert listing(dotfiles) == before
        assert inside.shell(f"cat {dotfiles}/codex/AGENTS.md", policy=policy).output == "mine\n"
    finally:
        for name in ("one.config.toml", "AGENTS.md"):
            os.unlink(f"{place.home}/{name}")


def test_kernel_stays_as_it_is_though_everything_is_writable(inside: Cell) -> None:
    tries = ("open('/proc/sys/kernel/core_pattern', 'a')", "open('/proc/sysrq-trigger', 'a')", "open('/dev/kmsg', 'a')")
    assert inside.attempt(*tries, policy=WorkspaceWrite(writable_roots=("/",))).refused


@pytest.mark.parametrize("mode", CONFINED)
def test_devices_of_the_machine_are_out_of_reach(inside: Cell, mode: Mode) -> None:
    tries = [f"open('/dev/{name}', 'rb')" for name in ("kmsg", "tty1", "mem", "vda") if os.path.exists(f"/dev/{name}")]
    tries += [
        "os.mknod('/tmp/device', 0o20600, os.makedev(1, 1))",
        "os.mknod('/tmp/device', 0o60600, os.makedev(8, 0))",
    ]
    assert set(inside.attempt(*tries, mode=mode).refused) <= {"EACCES", "EPERM"}


# What works


def test_without_the_sandbox_the_attempts_succeed(user: Cell) -> None:
    """Else the tests above would show nothing."""
    place = user.place
    tries = (
        f"open({place.auth!r}).read()",
        f"open({place.outside!r} + '/file', 'a')",
        f"open({place.cwd!r} + '/.git/new', 'w')",
        f"os.unlink({place.cwd!r} + '/.git/new')",
        f"os.chmod({place.outside!r} + '/file', 0o644)",
        f"socket.create_connection(('127.0.0.1', {user.tcp}))",
        f"socket.socket(socket.AF_UNIX).connect({user.socket!r})",
        f"socket.socket(socket.AF_UNIX).connect({chr(0) + user.abstract!r})",
        f"os.kill({user.pid}, 0)",
        f"__import__('resource').prlimit({user.pid}, 7)",
    )
    output = user.attempt(*tries, mode="free").output
    assert output.count("done") == len(tries), output
    assert place.secret in output


@pytest.mark.parametrize("mode", ["workspace-write", "online"])
def test_everyday_changes_in_the_workspace_work(with_view: Cell, mode: Mode) -> None:
    place = with_view.place
    script = """
    set -e
    echo one > new; echo two >> new; cat new
    mkdir -p directory/deep; mv new directory/deep/renamed; ln directory/deep/renamed hard; ln -s hard soft; cat soft
    chmod 700 directory; touch -d 2020-01-01 hard; truncate -s 1 hard; mkfifo pipe
    sed -i s/inside/changed/ file; cat file; sed -i s/changed/inside/ file
    rm -r directory hard soft pipe
    temporary=$(mktemp); echo kept > $temporary; cat $temporary; rm $temporary
    """
    result = with_view.shell(script, mode)
    assert (result.returncode, result.output) == (0, "one\ntwo\none\ntwo\nchanged\nkept\n")
    assert sorted(os.listdir(place.cwd)) == [".git", "file"]


def test_without_namespaces_existing_directories_stay_writable(narrow: Cell) -> None:
    place = narrow.place
    os.mkdir(f"{place.cwd}/src")
    os.chown(f"{place.cwd}/src", place.user, place.user)
    result = narrow.shell(
        "echo a > src/new && mv src/new src/renamed && cat src/renamed && rm src/renamed && echo b >> file"
    )
    assert (result.returncode, result.output) == (0, "a\n")
    refused = narrow.shell("echo a > new")
    assert refused.returncode == 1
    assert "no mount namespaces" in "".join(refused.limits)
    os.rmdir(f"{place.cwd}/src")


def test_programs_run_as_usual(inside: Cell) -> None:
    result = inside.shell(
        "git status --short | cat && ls / > /dev/null && head -c 4 /dev/urandom | wc -c && echo x > /dev/null"
        " && cat /etc/passwd | head -1 | wc -l && stat -c %F /dev/zero"
    )
    assert result.returncode == 0, result.output
    assert result.output.endswith("4\n1\ncharacter special file\n")


def test_repository_can_be_read_and_a_new_one_made(with_view: Cell) -> None:
    result = with_view.shell(
        "git rev-parse --show-toplevel && git init -q other && git -C other status --short && rm -rf other"
    )
    assert (result.returncode, result.output) == (0, f"{with_view.place.cwd}\n")


def test_locks_of_multiprocessing_work(with_view: Cell) -> None:
    script = """
import multiprocessing
def work(lock, queue):
    with lock:
        queue.put("worked")
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=work, args=(context.Lock(), queue))
    process.start()
    print(queue.get(timeout=10))
    process.join()
"""
    assert with_view.python(script).output == "worked\n"


def test_shared_memory_of_others_is_not_seen(with_view: Cell) -> None:
    name = f"/dev/shm/greenroom-test-{os.getpid()}"
    with_view.place.write(name, "theirs")
    try:
        assert with_view.attempt(f"open({name!r})").refused == ["ENOENT"]
    finally:
        os.unlink(name)
