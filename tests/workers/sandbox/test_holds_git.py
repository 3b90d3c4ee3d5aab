"""Git commands that run without approval are confined so that no program started by git can do harm."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from greenroom.workers.sandbox.starter import GIT_IN_FOREIGN_PLACES
from tests.workers.sandbox.cell import SYSTEM_PATH, Cell

pytestmark = pytest.mark.processes

COMMANDS: Final = [
    line
    for line in (Path(__file__).parents[1] / "approval" / "harmless_git_commands.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
EVIL: Final = """
[core]
    repositoryformatversion = 0
    bare = {bare}
    {worktree}
    fsmonitor = {program}
    pager = {program}
    editor = {program}
    sshCommand = {program}
    hooksPath = {hooks}
[diff]
    external = {program}
[diff "x"]
    command = {program}
    textconv = {program}
[filter "x"]
    clean = {program}
    smudge = {program}
    process = {program}
[credential]
    helper = !{program}
[gpg]
    program = {program}
[log]
    showSignature = true
[pager]
    status = {program}
    diff = {program}
    log = {program}
[interactive]
    diffFilter = {program}
"""


def plant(cell: Cell) -> str:
    """Fill the working directory with repositories that start a program, and return what that would write to."""
    cwd, mark = cell.place.cwd, f"{cell.place.outside}/pwned"
    program = f"{cwd}/evil.sh"
    secret = cell.place.auth
    with open(program, "w") as file:
        file.write(f"#!/bin/sh\ncat {secret} > {cwd}/pwned\ncat {secret} > {mark}\ncat {secret} >> {cwd}/in\nfalse\n")
    os.chmod(program, 0o755)
    git = (
        "git",
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "safe.directory=*",
    )
    environment = {"PATH": SYSTEM_PATH, "HOME": cell.place.base}

    def run(*words: str, where: str = cwd) -> None:
        subprocess.run([*git, *words], cwd=where, env=environment, check=True, capture_output=True)

    for where in (cwd, f"{cwd}/nested"):
        os.makedirs(where, exist_ok=True)
        Path(where, "in").write_text("one\n")
        Path(where, "a.py").write_text("x = 1\n")
        Path(where, ".gitattributes").write_text("* diff=x filter=x\n")
        run("init", "-q", where=where)
        run("add", "in", "a.py", ".gitattributes", where=where)
        run("commit", "-qm", "first", where=where)
        run("commit", "-qm", "second", "--allow-empty", where=where)
        Path(where, "in").write_text("two evil\n")
        hooks = Path(where, ".git", "hooks")
        Path(where, ".git", "config").write_text(EVIL.format(bare="false", worktree="", program=program, hooks=hooks))
        for name in ("post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman"):
            (hooks / name).write_text(Path(program).read_text())
            (hooks / name).chmod(0o755)
    run("init", "-q", "--bare", "bare")
    Path(cwd, "bare", "config").write_text(
        EVIL.format(bare="false", worktree="worktree = .", program=program, hooks="hooks")
    )
    for directory, names, files in os.walk(cwd):
        for path in (directory, *(os.path.join(directory, name) for name in (*names, *files))):
            os.chown(path, cell.place.user, cell.place.user, follow_symlinks=False)
    return mark


def listing(directory: str) -> dict[str, bytes]:
    files = (path for path in Path(directory).rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def planted(cells: object) -> tuple[Cell, str]:
    cell = cells("user")  # type: ignore[operator]
    return cell, plant(cell)


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_written_whatever_git_starts(command: str, planted: tuple[Cell, str]) -> None:
    cell, mark = planted
    before = listing(cell.place.cwd)
    words = [f"{name}={value}" for name, value in GIT_IN_FOREIGN_PLACES.items()]
    done = cell.run("env", *words, f"HOME={cell.place.base}", "bash", "-c", command, mode="read-only")
    assert cell.place.secret not in done.output
    assert not os.path.exists(mark)
    assert listing(cell.place.cwd) == before


def test_a_checked_in_bare_repository_is_not_looked_at(planted: tuple[Cell, str]) -> None:
    cell, _ = planted
    words = [f"{name}={value}" for name, value in GIT_IN_FOREIGN_PLACES.items()]
    done = cell.run("env", *words, "bash", "-c", "cd bare && git status", mode="read-only")
    assert "cannot use bare repository" in done.output or "not a git repository" in done.output
