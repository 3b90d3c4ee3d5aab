"""Promises about files: what a confined command cannot read. Each is shown by trying."""

import os
import threading

import psutil
import pytest

from greenroom.config.tables.sandbox import WorkspaceWritePolicy
from greenroom.workers.sandbox.home_links import trail
from tests.support.deadline import until
from tests.workers.sandbox.cell import Cell, Mode
from tests.workers.sandbox.file_attempts import WAYS_TO_WRITE, listing, ways

pytestmark = pytest.mark.processes
CONFINED: list[Mode] = ["read-only", "workspace-write", "online"]


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
def test_the_token_of_a_ray_cluster_cannot_be_read(inside: Cell, mode: Mode) -> None:
    place = inside.place
    script = f"cat {place.ray}/auth_token; cat {place.ray}/settings; cp -r {place.ray} {place.cwd}/copied"
    result = inside.shell(script, mode)
    assert place.secret not in result.output
    assert "of Ray" in result.output, "nothing else is hidden there"
    assert not os.path.exists(f"{place.cwd}/copied/auth_token")


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
    policy = WorkspaceWritePolicy(writable_roots=(os.path.join(place.base, root),), exclude_slash_tmp=True)
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
    policy = WorkspaceWritePolicy(writable_roots=roots) if roots else None
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


@pytest.mark.parametrize("mode", CONFINED)
def test_secrets_of_the_users_other_homes_cannot_be_read(inside: Cell, mode: Mode) -> None:
    place = inside.place
    secrets = [f"{place.node}/{name}" for name in (".nodes.key", ".nodes.ticket", "config.toml")] + [place.ticket]
    script = (
        f"cat {' '.join(secrets)} {place.node}/node.log {place.outside}/file; cp -rL {place.node} {place.cwd}/copied"
    )
    output = inside.shell(
        f"{script}; cat {place.cwd}/copied/.n* {place.cwd}/copied/c*; rm -rf {place.cwd}/copied", mode
    )
    assert place.secret not in output.output
    assert "of a node" in output.output
    assert "outside" in output.output


SETTINGS_WITH_SECRET = "[model_providers.x]\nexperimental_bearer_token = '{}'\n"


@pytest.mark.parametrize("mode", CONFINED)
def test_settings_cannot_be_read_while_a_secret_stands_in_them(inside: Cell, mode: Mode) -> None:
    place = inside.place
    usual = place.read(f"{place.home}/config.toml")
    names = ("config.toml", "work.config.toml", "config.toml~", ".config.toml.swp", "CONFIG.TOML.bak")
    secrets = {f"{place.home}/{name}": f"{place.secret}-{number}" for number, name in enumerate(names)}
    look = f"cat {' '.join(secrets)}; cat {place.home}/sessions/2025/one.jsonl"
    for path, secret in secrets.items():
        place.write(path, SETTINGS_WITH_SECRET.format(secret))
        os.chown(path, place.user, place.user)
    try:
        shown = inside.shell(look, mode).output
        assert [path for path, secret in secrets.items() if secret in shown] == []
        assert "{}" in shown
    finally:
        for path in secrets:
            os.unlink(path)
        place.write(f"{place.home}/config.toml", usual)
        os.chown(f"{place.home}/config.toml", place.user, place.user)
    assert "model = 'o3'" in inside.shell(look, mode).output


@pytest.mark.parametrize("root", ["home", "home/.codex", "/"])
def test_settings_with_a_secret_cannot_be_read_though_their_directory_is_writable(inside: Cell, root: str) -> None:
    place = inside.place
    policy = WorkspaceWritePolicy(writable_roots=(os.path.join(place.base, root),), exclude_slash_tmp=True)
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
    policy = WorkspaceWritePolicy(writable_roots=(root,), exclude_slash_tmp=True)
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
    policy = WorkspaceWritePolicy(writable_roots=(dotfiles,), exclude_slash_tmp=True)
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
    assert inside.attempt(*tries, policy=WorkspaceWritePolicy(writable_roots=("/",))).refused


@pytest.mark.parametrize("mode", CONFINED)
def test_devices_of_the_machine_are_out_of_reach(inside: Cell, mode: Mode) -> None:
    tries = [f"open('/dev/{name}', 'rb')" for name in ("kmsg", "tty1", "mem", "vda") if os.path.exists(f"/dev/{name}")]
    tries += [
        "os.mknod('/tmp/device', 0o20600, os.makedev(1, 1))",
        "os.mknod('/tmp/device', 0o60600, os.makedev(8, 0))",
    ]
    assert set(inside.attempt(*tries, mode=mode).refused) <= {"EACCES", "EPERM"}
