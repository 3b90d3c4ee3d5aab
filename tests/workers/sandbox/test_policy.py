"""Promises of the sandbox policy: what a command may touch follows from policy and conversation, by the text alone."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from greenroom.config.section import check
from greenroom.config.tables.sandbox import DangerFullAccessPolicy, ReadOnlyPolicy, WorkspaceWritePolicy
from greenroom.supervisor.frontend.mcp import state_key
from greenroom.supervisor.frontend.mcp.calls import task_store
from greenroom.workers.sandbox.confinement import Confinement, Hidden, is_within
from greenroom.workers.sandbox.policy import Surroundings, confine, own_program, read_only

HERE = Surroundings(cwd="/home/ada/shop", codex_home="/home/ada/.codex", runtime_directory="/run/user/1/greenroom")
NAMES = st.text("ab.*", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, max_size=4).map(lambda names: "/" + "/".join(names))


def workspace(surroundings: Surroundings = HERE, **settings: object) -> Confinement:
    confinement = confine(check(WorkspaceWritePolicy, settings), surroundings)
    assert confinement is not None
    return confinement


def test_full_access_is_not_confined() -> None:
    assert confine(DangerFullAccessPolicy(), HERE) is None


def test_read_only_writes_nothing_and_is_offline() -> None:
    confinement = confine(ReadOnlyPolicy(), HERE)
    assert confinement is not None
    assert (confinement.writable, confinement.network) == ((), False)
    assert not confinement.may_write("/home/ada/shop/file")


@pytest.mark.parametrize(
    ("settings", "tmpdir", "roots"),
    [
        ({}, "", ("/home/ada/shop", "/tmp")),
        ({}, "/scratch/", ("/home/ada/shop", "/tmp", "/scratch")),
        ({"exclude_slash_tmp": True}, "/scratch", ("/home/ada/shop", "/scratch")),
        ({"exclude_tmpdir_env_var": True}, "/scratch", ("/home/ada/shop", "/tmp")),
        ({"writable_roots": ["/data", "../x"]}, "", ("/data", "/home/ada/x", "/home/ada/shop", "/tmp")),
        ({"writable_roots": ["/tmp", "/home/ada/shop"]}, "/tmp", ("/tmp", "/home/ada/shop")),
    ],
)
def test_roots_are_those_of_the_policy_in_order(
    settings: dict[str, object], tmpdir: str, roots: tuple[str, ...]
) -> None:
    surroundings = Surroundings(HERE.cwd, HERE.codex_home, HERE.runtime_directory, tmpdir)
    assert workspace(surroundings, **settings).writable == roots


@pytest.mark.parametrize("network", [True, False])
def test_network_is_as_configured(network: bool) -> None:
    assert workspace(network_access=network).network is network


@pytest.mark.parametrize(
    ("path", "writable"),
    [
        ("/home/ada/shop", True),
        ("/home/ada/shop/app.js", True),
        ("/home/ada/shop/../shop/./app.js", True),
        ("/home/ada/shop/sub/.git/config", True),
        ("/home/ada/shop/.gitignore", True),
        ("/home/ada/shopping", False),
        ("//home/ada/shop//app.js", True),
        ("//home/ada/shop/.git/x", False),
        ("/home/ada/shop/../other", False),
        ("/home/ada/shop/.git", False),
        ("/home/ada/shop/.git/hooks/pre-commit", False),
        ("/home/ada/shop/sub/../.git/config", False),
        ("/home/ada/shop/.codex/config.toml", False),
        ("/home/ada/shop/.agents/skill", False),
        ("/home/ada/.codex/auth.json", False),
        ("/tmp/x", True),
        ("/tmp/.git/x", False),
        ("/etc/passwd", False),
        ("app.js", False),
    ],
)
def test_writable_is_what_lies_below_a_root_and_is_not_protected(path: str, writable: bool) -> None:
    assert workspace().may_write(path) is writable


def test_only_secrets_and_sockets_cannot_be_read() -> None:
    for confinement in (workspace(), confine(ReadOnlyPolicy(), HERE)):
        assert confinement is not None
        assert all(map(confinement.may_read, ("/etc/passwd", "/home/ada/.codex/config.toml", "/home/ada/auth.json")))
        secrets = ("/home/ada/.codex/auth.json", "/home/ada/x/../.codex/.env", "/run/user/1/greenroom/7/broker")
        assert not any(map(confinement.may_read, secrets))
        assert not confinement.may_read(f"/home/ada/.codex/{state_key.NAME}")


@pytest.mark.parametrize("cwd", ["/home/ada", "/home/ada/.codex", "/"])
def test_control_files_and_credentials_are_safe_whatever_the_directory(cwd: str) -> None:
    confinement = workspace(
        Surroundings(cwd, HERE.codex_home, HERE.runtime_directory), writable_roots=["/home/ada/.codex"]
    )
    secrets = ("auth.json", "auth.json.17.x.tmp", ".auth.store.lock", ".env", ".credentials.json", state_key.NAME)
    for name in (*secrets, "sessions/2025/a", f"{task_store.DIRECTORY}/a.json"):
        assert not confinement.may_write(f"/home/ada/.codex/{name}")
    assert not confinement.may_write("/run/user/1/greenroom/7/broker")


def test_what_the_configuration_lists_below_a_protected_place_is_writable() -> None:
    confinement = workspace(writable_roots=["/home/ada/shop/.git", "/home/ada/.codex/worktrees"])
    assert confinement.may_write("/home/ada/shop/.git/index")
    assert confinement.may_write("/home/ada/.codex/worktrees/a/file")
    assert not confinement.may_write("/home/ada/.codex/config.toml")


@pytest.mark.parametrize(
    "root", ["/home/ada/.codex/sessions", "/home/ada/.codex/sessions/2025", "/run/user/1/greenroom/7"]
)
def test_sessions_and_sockets_are_never_writable(root: str) -> None:
    assert not workspace(writable_roots=[root]).may_write(f"{root}/file")


@given(PATHS, PATHS, st.lists(PATHS, max_size=3))
def test_nothing_outside_all_roots_is_writable(path: str, cwd: str, roots: list[str]) -> None:
    confinement = workspace(Surroundings(cwd, "/h", "/r"), writable_roots=roots)
    if confinement.may_write(path):
        assert any(is_within(path, os.path.normpath(root)) for root in [cwd, "/tmp", *roots])
        assert not any(hidden.holds(path) for hidden in confinement.hidden)


@given(PATHS, PATHS, PATHS)
def test_directory_of_git_is_never_writable_unless_it_is_a_root(cwd: str, rest: str, tmpdir: str) -> None:
    confinement = workspace(Surroundings(cwd, "/h", "/r", tmpdir))
    inside = os.path.normpath(f"{cwd}/.git/{rest}")
    if not any(is_within(root, os.path.normpath(f"{cwd}/.git")) for root in confinement.writable):
        assert not confinement.may_write(inside)


def test_names_with_a_star_are_beginnings() -> None:
    hidden = Hidden("/h", ("auth.json*", ".env"))
    assert [hidden.covers(name) for name in ("auth.json", "auth.json.1", "auth", ".env", ".env.local")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert hidden.holds("/h/auth.json/deeper")
    assert not hidden.holds("/h")
    assert not hidden.holds("/hat/auth.json")


def test_links_are_followed_once(tmp_path: os.PathLike[str]) -> None:
    base = os.path.realpath(tmp_path)
    for name in ("real/git", "home", "elsewhere", "tree"):
        os.makedirs(f"{base}/{name}")
    os.symlink(f"{base}/real", f"{base}/work")
    os.symlink("git", f"{base}/real/.git")
    os.symlink(f"{base}/elsewhere/token", f"{base}/home/auth.json")
    with open(f"{base}/tree/.git", "w") as file:
        file.write(f"gitdir: {base}/elsewhere/git\n")
    surroundings = Surroundings(f"{base}/work", f"{base}/home", f"{base}/run")
    resolved = workspace(surroundings, writable_roots=[f"{base}/tree"]).resolved()
    assert f"{base}/real" in resolved.writable
    assert {f"{base}/real/.git", f"{base}/real/git", f"{base}/elsewhere/git"} <= set(resolved.protected)
    assert Hidden(f"{base}/elsewhere", ("token*",)) in resolved.hidden
    assert resolved.resolved() == resolved


def test_what_holds_secrets_by_now_is_hidden_and_what_nobody_can_find_is_told(tmp_path: Path) -> None:
    base = Path(os.path.realpath(tmp_path))
    (base / "home").mkdir()
    (base / "home" / "config.toml").write_text("model = 'o3'\n")
    (base / "home" / "auth.json").touch()
    resolved = workspace(Surroundings(f"{base}/work", f"{base}/home", f"{base}/run")).resolved()
    config = f"{base}/home/config.toml"
    assert resolved.present() == resolved
    assert resolved.may_read(config)
    assert resolved.aliases() == ()
    (base / "home" / "config.toml").write_text("[model_providers.x]\nexperimental_bearer_token = 'plain'\n")
    os.link(base / "home" / "auth.json", base / "copy")
    assert not resolved.present().may_read(config)
    assert not resolved.present().may_read(f"{config}.bak")
    (told,) = resolved.aliases()
    assert told.startswith("auth.json has another name")


@pytest.mark.parametrize("name", ["AUTH.JSON", ".Env", "Auth.json.tmp"])
def test_case_does_not_matter_for_what_is_hidden(name: str) -> None:
    assert not workspace().may_read(f"{HERE.codex_home}/{name}")


def test_no_link_on_the_way_to_the_home_is_writable(tmp_path: Path) -> None:
    base = os.path.realpath(tmp_path)
    cwd, home = f"{base}/work", f"{base}/real"
    for directory in (home, f"{cwd}/deep"):
        os.makedirs(directory)
    os.symlink("deep/second", f"{cwd}/cfg")
    os.symlink(home, f"{cwd}/deep/second")
    resolved = workspace(Surroundings(cwd, home, f"{base}/run", home_name=f"{cwd}/cfg")).resolved()
    for link in ("cfg", "deep/second"):
        assert not resolved.may_write(f"{cwd}/{link}")
    assert resolved.may_write(f"{cwd}/deep/other")


WORKTREES = [
    # what is named, what `.git` points to, whether that is writable then
    ("repo/.git", "repo/.git/worktrees/w", True),
    ("repo/.git/worktrees", "repo/.git/worktrees/w", True),
    ("repo/.git/worktrees/w", "repo/.git/worktrees/w", True),
    ("link/.git", "repo/.git/worktrees/w", True),
    ("repo/.git", "repo/.git/modules/w/modules/x", True),
    ("bare", "bare/worktrees/w", True),
    ("apart", "apart", True),
    ("repo", "repo/.git/worktrees/w", False),
    ("bare", "bare/other/w", False),
    (".", "bare/worktrees/w", False),
    ("data", "data/apart", False),
    ("repo/.git/objects", "repo/.git/worktrees/w", False),
    ("repo/.git/worktrees/other", "repo/.git/worktrees/w", False),
    ("repo/.git/worktrees/w2", "repo/.git/worktrees/w", False),
]


@pytest.mark.parametrize(("named", "goal", "writable"), WORKTREES)
@pytest.mark.parametrize("kind", ["git file", "link"])
def test_what_the_user_names_wins_over_what_git_points_to(
    tmp_path: Path, named: str, goal: str, writable: bool, kind: str
) -> None:
    base = os.path.realpath(tmp_path)
    os.makedirs(f"{base}/{goal}")
    os.makedirs(f"{base}/repo/.git", exist_ok=True)
    os.makedirs(f"{base}/tree")
    os.symlink("repo", f"{base}/link")
    if "worktrees" in goal:
        (tmp_path / goal / "commondir").write_text("../..\n")
    if kind == "link":
        os.symlink(f"{base}/{goal}", f"{base}/tree/.git")
    else:
        (tmp_path / "tree" / ".git").write_text(f"gitdir: {base}/{goal}\n")
    surroundings = Surroundings(f"{base}/tree", f"{base}/home", f"{base}/run")
    given = workspace(surroundings, writable_roots=[f"{base}/{named}"], exclude_slash_tmp=True)
    resolved = given.resolved()
    assert resolved.may_write(f"{base}/{goal}/index.lock") is writable
    assert not resolved.may_write(f"{base}/tree/.git"), "the pointer itself was not named"
    assert resolved.resolved() == resolved


@pytest.mark.parametrize("named", [".", "bare", "bare/worktrees", "bare/hooks"])
def test_the_repository_of_a_linked_working_tree_is_protected_with_it(tmp_path: Path, named: str) -> None:
    base = os.path.realpath(tmp_path)
    os.makedirs(f"{base}/bare/worktrees/w")
    os.makedirs(f"{base}/bare/hooks")
    os.makedirs(f"{base}/tree")
    (tmp_path / "bare/worktrees/w/commondir").write_text("../..\n")
    (tmp_path / "tree/.git").write_text(f"gitdir: {base}/bare/worktrees/w\n")
    surroundings = Surroundings(f"{base}/tree", f"{base}/home", f"{base}/run")
    resolved = workspace(surroundings, writable_roots=[f"{base}/{named}"], exclude_slash_tmp=True).resolved()
    for place, name in (("bare/config", "bare"), ("bare/hooks/post-commit", "bare/hooks")):
        assert resolved.may_write(f"{base}/{place}") is (named in {"bare", name}), place
    assert resolved.may_write(f"{base}/else") is (named == ".")


@pytest.mark.parametrize("home", ["tree/.codex", "link/.codex"])
def test_the_codex_home_is_never_named_away(tmp_path: Path, home: str) -> None:
    base = os.path.realpath(tmp_path)
    os.makedirs(f"{base}/tree/.codex/sessions")
    os.symlink("tree", f"{base}/link")
    surroundings = Surroundings(f"{base}/tree", f"{base}/{home}", f"{base}/run")
    for named in ("tree/.codex", "link/.codex"):
        resolved = workspace(surroundings, writable_roots=[f"{base}/{named}"]).resolved()
        for name in ("config.toml", "auth.json", "sessions/a"):
            assert not resolved.may_write(f"{base}/tree/.codex/{name}")


@pytest.mark.parametrize("name", [".git", ".codex", ".agents"])
def test_a_control_directory_is_named_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    base = os.path.realpath(tmp_path)
    os.makedirs(f"{base}/tree/{name}")
    os.symlink("tree", f"{base}/link")
    surroundings = Surroundings(f"{base}/tree", f"{base}/home", f"{base}/run")
    for named in (f"tree/{name}", f"link/{name}", f"tree/../link/{name}/"):
        resolved = workspace(surroundings, writable_roots=[f"{base}/{named}"], exclude_slash_tmp=True).resolved()
        assert resolved.may_write(f"{base}/tree/{name}/file")
        assert resolved.resolved() == resolved
    other = workspace(surroundings, writable_roots=[f"{base}/link"], exclude_slash_tmp=True).resolved()
    assert not other.may_write(f"{base}/tree/{name}/file")


def test_secrets_of_other_homes_are_hidden_and_their_settings_from_our_own_programs() -> None:
    here = replace(HERE, other_homes=("/home/ada/.local/state/greenroom-node",))
    for confinement in (workspace(here), read_only(here), own_program(here)):
        assert not confinement.may_read("/home/ada/.local/state/greenroom-node/.nodes.key")
        assert confinement.may_read("/home/ada/.local/state/greenroom-node/node.log")
    assert not own_program(here).may_read("/home/ada/.local/state/greenroom-node/config.toml")
