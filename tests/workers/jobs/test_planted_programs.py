"""No program that a repository names runs outside the sandbox, whatever job asks about the repository (decision 18)."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import GreenroomError, SandboxUnavailableError
from greenroom.workers import git
from greenroom.workers.job_context import GitLimits, JobError, Setting
from greenroom.workers.jobs import diff_to_remote, file_listing, search_files
from greenroom.workers.jobs.file_listing import _split
from greenroom.workers.sandbox import zygote_link
from greenroom.workers.sandbox.launcher import Launcher
from greenroom.workers.sandbox.rules import features
from greenroom.workers.sandbox.starter import LaunchedStarter
from tests.workers.jobs.planted import EFFECTIVE, PLANTS, SECRET, SHAPES, Ground, prepare, replant

pytestmark = pytest.mark.processes

NORMAL = GitLimits()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return prepare(tmp_path_factory.mktemp("template") / "ground")


@pytest.fixture
def ground(template: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))
    return replant(template, tmp_path / "ground")


def setting(ground: Ground, limits: GitLimits = NORMAL) -> Setting:
    return Setting(str(ground.home), str(ground.base / "run"), git=limits)


async def job(run: Callable[[bytes, Setting], Awaitable[bytes]], given: Setting, **params: Any) -> Any:
    return msgspec.json.decode(await run(msgspec.json.encode(params), given))


def search(ground: Ground, query: str = "e", root: Path | None = None, limits: GitLimits = NORMAL) -> list[str]:
    root = root or ground.workspace
    found = asyncio.run(job(search_files.run, setting(ground, limits), query=query, roots=[str(root)]))
    return [file["path"] for file in found["files"]]


def diff(ground: Ground, cwd: Path | None = None, limits: GitLimits = NORMAL) -> str:
    told = asyncio.run(job(diff_to_remote.run, setting(ground, limits), cwd=str(cwd or ground.workspace)))
    assert isinstance(told["diff"], str)
    return told["diff"]


def look_at(ground: Ground, *places: str) -> str:
    """Search and compare in the workspace and in places in it, and return all that was told."""
    told = []
    for place in filter(Path.is_dir, (ground.workspace / name for name in (".", *places))):
        told += search(ground, root=place)
        try:
            told.append(diff(ground, place))
        except GreenroomError as error:
            told.append(str(error))
    return "\n".join(told)


@pytest.mark.parametrize("name", PLANTS)
def test_no_planted_program_does_anything(ground: Ground, name: str) -> None:
    PLANTS[name](ground)
    ground.marker.unlink(missing_ok=True)  # the plant itself may have used git
    (ground.workspace / "STOLEN").unlink(missing_ok=True)
    (ground.base / "STOLEN-by-tmp").unlink(missing_ok=True)
    told = look_at(ground, *("d", "module", "nested", "bare") if name in SHAPES else ())
    assert ground.harm() == []
    assert SECRET not in told
    assert "-one\n+two\n" in told or not name.endswith(".*"), "git was not kept from its work"


@pytest.mark.parametrize("name", EFFECTIVE)
def test_the_programs_are_planted_where_git_runs_them(
    ground: Ground, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this the test above might pass because no program was ever started."""
    PLANTS[name](ground)
    ground.marker.unlink(missing_ok=True)
    monkeypatch.setattr(git, "LaunchedStarter", lambda launcher, _: LaunchedStarter(launcher, None))
    look_at(ground)
    assert str(ground.marker) in ground.harm()


def test_variables_of_the_server_configure_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    program = str(ground.program)
    for name in ("EXTERNAL_DIFF", "PAGER", "SSH", "SSH_COMMAND", "ASKPASS", "EDITOR", "PROXY_COMMAND", "EXEC_PATH"):
        monkeypatch.setenv(f"GIT_{name}", program)
    elsewhere = {"GIT_DIR": ".git/nowhere", "GIT_WORK_TREE": "/", "GIT_INDEX_FILE": "/dev/null", "PAGER": program}
    settings = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "diff.external", "GIT_CONFIG_VALUE_0": program}
    for name, value in {**elsewhere, **settings, "GIT_TRACE": str(ground.marker)}.items():
        monkeypatch.setenv(name, value)
    assert "-one\n+two\n" in diff(ground)
    assert "changed" in search(ground)
    assert ground.harm() == []


@pytest.mark.parametrize("entry", ["{workspace}/bin", ".", "", "bin", "{workspace}/d/../bin", "{base}/link"])
def test_a_git_of_the_workspace_is_never_run(ground: Ground, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (ground.workspace / "bin").mkdir()
    (ground.base / "link").symlink_to(ground.workspace / "bin")
    for place in (ground.workspace, ground.workspace / "bin"):
        shutil.copy(ground.program, place / "git")
    monkeypatch.chdir(ground.workspace)
    first = entry.format(workspace=ground.workspace, base=ground.base)
    monkeypatch.setenv("PATH", os.pathsep.join((first, os.environ["PATH"])))
    assert "-one\n+two\n" in diff(ground, ground.workspace / "d")
    assert "new" in search(ground, "new")
    assert ground.harm() == []


def test_without_a_sandbox_no_git_runs(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    poor = replace(features.probe(), landlock_abi=0)
    monkeypatch.setattr(features, "probe", lambda: poor)
    monkeypatch.setattr(zygote_link, "_shared", None)  # the one of its own finds the same
    PLANTS["filter.x.clean"](ground)
    assert {"changed", "new", "d/deep", "noise.log"} <= set(
        search(ground, "e") + search(ground, "new") + search(ground, "noise")
    )
    assert "files are listed without git" in caplog.text
    with pytest.raises(SandboxUnavailableError, match="Landlock"):
        diff(ground)
    assert ground.harm() == []


def test_without_git_files_are_found_and_a_diff_is_refused(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(ground.home))
    assert "new" in search(ground, "new")
    with pytest.raises(JobError, match="there is no git"):
        diff(ground)


def test_a_search_respects_what_is_ignored_and_enters_nested_repositories(ground: Ground) -> None:
    nested = ground.workspace / "one" / "two"
    nested.mkdir(parents=True)
    ground.git("init", "-q", ".", cwd=nested)
    (nested / ".gitignore").write_text("*.tmp\n")
    for name in ("e.tmp", "e.kept"):
        (nested / name).touch()
    assert "one/two/e.kept" in search(ground, "e.kept")
    assert search(ground, "e.tmp") == search(ground, "noise") == []
    (ground.base / "plain" / "inner").mkdir(parents=True)
    (ground.base / "plain" / ".gitignore").write_text("e.log\n")
    for name in ("e.log", "e.txt", "inner/e.txt"):
        (ground.base / "plain" / name).touch()
    assert sorted(search(ground, "e", ground.base / "plain")) == [".gitignore", "e.txt", "inner/e.txt"]


def test_a_diff_has_what_changed_and_what_is_new(ground: Ground) -> None:
    (ground.workspace / "blob").write_bytes(bytes(range(256)))
    told = diff(ground)
    assert "-one\n+two\n" in told
    assert "+++ b/new\n@@ -0,0 +1 @@\n+new\n" in told
    assert "GIT binary patch" in told
    assert "noise.log" not in told


def test_a_filter_that_cannot_work_in_the_sandbox_does_not_fail_the_diff(ground: Ground) -> None:
    ground.configure(filter__x__clean="tee /tmp/copy-of-it", filter__x__required="true")
    ground.attribute("changed filter=x")
    assert "-one\n+two\n" in diff(ground)


def test_a_working_tree_elsewhere_is_not_shown(ground: Ground) -> None:
    elsewhere = ground.base / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "changed").write_text("private")
    ground.configure(core__worktree=str(elsewhere))
    with pytest.raises(JobError, match="elsewhere"):
        diff(ground)


def test_what_lies_behind_a_link_is_not_in_the_workspace(ground: Ground) -> None:
    shutil.rmtree(ground.workspace / "d")
    outside = ground.marker.parent
    (outside / "deep").write_text("private")
    (ground.workspace / "d").symlink_to(outside)
    assert search(ground, "deep") == []
    assert "private" not in diff(ground)


def fake_git(ground: Ground, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a program outside the workspace take the place of git, as if a program that git started had its output."""
    place = ground.base / "bin"
    place.mkdir()
    (place / "git").write_text(f"#!/bin/sh\n{script}\n")
    (place / "git").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((str(place), os.environ["PATH"])))


def test_paths_that_lead_out_are_left_out(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = (
        "new",
        "../home/config.toml",
        str(ground.home / "config.toml"),
        "d/../../home/config.toml",
        "../home/",
        "/",
        "./",
    )
    fake_git(ground, "printf '%s\\0' " + " ".join(f"'{path}'" for path in paths), monkeypatch)
    assert search(ground, "n") == ["new"]


def test_output_without_end_is_cut_off(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = GitLimits(largest=1_000_000)
    fake_git(ground, "exec yes", monkeypatch)
    assert "new" in search(ground, "new", limits=limits)
    with pytest.raises(JobError, match="more than 1000000 bytes"):
        diff(ground, limits=limits)


def test_git_that_hangs_is_ended_with_what_it_started(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.workers.jobs.file_listing.TIMEOUT", 0.3)
    length = f"600.{os.getpid()}"
    fake_git(ground, f"setsid sleep {length} & sleep {length}", monkeypatch)
    search(ground, "new")
    with pytest.raises(JobError, match="git rev-parse took longer"):
        diff(ground, limits=GitLimits(seconds=0.3))
    assert length not in subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout


def test_a_zygote_that_hangs_holds_nothing_up(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = GitLimits(start_seconds=0.2)

    class Stopped(Launcher):
        async def spawn(self, *_: object, **__: object) -> Any:
            await asyncio.Event().wait()

    monkeypatch.setattr(git, "Launcher", Stopped)
    assert "new" in search(ground, "new", limits=limits)
    with pytest.raises(JobError, match="does not answer"):
        diff(ground, limits=limits)


@given(st.lists(st.text("a./", max_size=6)))
def test_a_list_of_paths_holds_none_that_leads_out(paths: list[str]) -> None:
    """The quick look at the whole list agrees with the look at each path."""
    raw = [path.encode() for path in paths]
    assert _split(b"".join(path + b"\0" for path in raw)) == list(filter(git.is_inside, raw))
    for path in filter(git.is_inside, raw):
        assert os.path.normpath(b"/root/" + path).startswith(b"/root/")


def test_as_many_files_are_listed_as_memory_allows(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_listing, "MOST", 10)
    fake_git(ground, "seq -f 'e%g' 1000 | tr '\\n' '\\0'", monkeypatch)
    for number in range(1, 20):
        (ground.workspace / f"e{number}").touch()
    assert len(search(ground, "e")) == 10


def test_what_is_in_the_way_of_the_empty_repository_is_left_alone(ground: Ground) -> None:
    """A command may have been quicker, in the directory for temporary files."""
    precious = ground.home / "config"
    precious.write_text("precious")
    (ground.base / "link").symlink_to(ground.home)
    with pytest.raises(OSError, match="link"):
        file_listing._make_repository(str(ground.base / "link"))
    trap = ground.base / "trap"
    trap.mkdir()
    (trap / "config").symlink_to(precious)
    with pytest.raises(FileExistsError):
        file_listing._make_repository(str(trap))
    assert precious.read_text() == "precious"
