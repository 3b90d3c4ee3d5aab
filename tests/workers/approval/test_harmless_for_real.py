"""What is let through unasked is run for real, under a watch: it writes nothing and starts nothing."""

import contextlib
import itertools
import os
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from greenroom.workers.approval.harmless_programs import ANY_ARGUMENTS, PROGRAMS
from greenroom.workers.approval.safe_commands import classify

HERE: Final = Path(__file__).parent
SHELL: Final = ("bash", "-c")
TIMEOUT: Final = 5
"""Seconds. A command that takes longer has not failed: it may read for ever."""
PLANTED: Final = (
    "less",
    "more",
    "pager",
    "sort",
    "xdg-open",
    "vi",
    "editor",
    "gzip",
    "xz",
    "bzip2",
    "zstd",
    "hostname",
)
"""Programs that others like to start; here each leaves a mark."""


def commands(name: str) -> list[str]:
    lines = (HERE / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


class Watched:
    """A directory to run in and a home, both of which are compared before and after."""

    def __init__(self, base: Path) -> None:
        self.base, self.cwd, self.marks = base, base / "work", base / "marks"
        for name in ("work/src", "home", "planted", "marks"):
            (base / name).mkdir(parents=True)
        for name in PLANTED:
            self._program(base / "planted" / name)
        for name, text in {
            "work/in": "one\none\ntwo evil\n",
            "work/a.py": "evil = 1\n",
            "work/src/b.py": "evil = 2\n",
            "work/names": "in\0",
            "work/coded": "b25l\n",
            "work/-o": "an option\n",
            "work/--output=pwned": "an option\n",
            "work/note.txt": "text\n",
            "home/.bashrc": "keep\n",
            "home/.profile": "keep\n",
        }.items():
            (base / name).write_text(text)

    def _program(self, path: Path) -> None:
        path.write_text(f'#!/bin/sh\necho "$0 $*" > "{self.marks}/$$"\ncat\n')
        path.chmod(0o755)

    def run(self, script: str) -> None:
        environment = {
            "PATH": f"{self.base}/planted:/usr/bin:/bin",
            "HOME": f"{self.base}/home",
            "TMPDIR": str(self.cwd),
        }
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [*SHELL, script],
                cwd=self.cwd,
                env=environment,
                stdin=-3,
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
            )

    def state(self) -> Mapping[str, object]:
        """Return all that lies here: kind, mode, size and content of each entry, and nothing of when it was read."""
        found: dict[str, object] = {}
        for directory, names, files in os.walk(self.base):
            for name in (*names, *files):
                path = os.path.join(directory, name)
                facts = os.lstat(path)
                content = Path(path).read_bytes() if stat.S_ISREG(facts.st_mode) else b""
                found[path] = (facts.st_mode, facts.st_ino, facts.st_mtime_ns, content)
        return found


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """One for many commands: none of them may change it."""
    return Watched(tmp_path_factory.mktemp("shared"))


@pytest.mark.parametrize("script", commands("harmless_commands.txt"))
def test_a_command_that_is_let_through_writes_and_starts_nothing(script: str, watched: Watched) -> None:
    assert classify([*SHELL, script]) == "harmless"
    before = watched.state()
    watched.run(script)
    assert watched.state() == before


@pytest.mark.parametrize(
    "script",
    ["uniq in pwned", "echo x | uniq - pwned", "find . -delete", "less in", "base64 -o pwned in", "ls > pwned"],
)
def test_the_watch_sees_what_others_do_or_the_program_refuses(script: str, watched: Watched) -> None:
    """Each is asked for; run all the same, the watch notices, unless this system's program knows no such option."""
    assert classify([*SHELL, script]) == "unknown"
    before = watched.state()
    watched.run(script)
    assert watched.state() != before or script.startswith("base64")


def words() -> Iterator[str]:
    """Words that options, values and operands are made of, among them those that others tripped over."""
    yield from ("-", "--", "in", "a.py", ".", "src", "*", "src/*", "?", "-o", "--output=pwned", "pwned", "1", "''")
    yield from PROGRAMS
    for letter in "abcdefghijklmnopqrstuvwxyzDSLGMUCTW":
        yield f"-{letter}"
    yield from (
        "-exec",
        "-fprint",
        "-delete",
        "-name",
        "-print",
        "--pre=less",
        "--pre",
        "-z",
        "--compress-program=sort",
    )
    yield from ("--group", "--skip-fields", "--wrap=5", "--files", "-n1,2p", "1,2p", "1e", "w", "-newer", "!", "(", ")")


PROGRAM_NAMES: Final = sorted({*PROGRAMS, "sort", "xargs", "tee", "less", "env", *sorted(ANY_ARGUMENTS)[:6]} - {"git"})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.sampled_from(PROGRAM_NAMES), st.lists(st.sampled_from(sorted(set(words()))), max_size=4))
@example("uniq", ["-", "pwned"])
@example("uniq", ["-f", "1", "in", "pwned"])
@example("find", [".", "-name", "*", "-fprint", "pwned"])
@example("rg", ["--pre", "less", "one", "in"])
def test_whatever_is_let_through_writes_and_starts_nothing(shared: Watched, program: str, arguments: list[str]) -> None:
    script = " ".join((program, *arguments))
    assume(classify([*SHELL, script]) == "harmless")
    before = shared.state()
    shared.run(script)
    assert shared.state() == before, script


def test_every_program_of_the_table_is_in_the_corpus() -> None:
    listed = {shlex.split(line)[0] for line in commands("harmless_commands.txt")}
    assert {*PROGRAMS} - {"git"} <= listed


@pytest.mark.parametrize("script", commands("harmless_git_commands.txt"))
def test_git_is_let_through_only_into_a_sandbox(script: str) -> None:
    assert classify([*SHELL, script]) == "harmless_confined"


def test_the_programs_that_are_run_here_exist() -> None:
    missing = [name for name in itertools.chain(PROGRAMS, ANY_ARGUMENTS) if name != "rg" and not _is_there(name)]
    assert missing == []


def _is_there(name: str) -> bool:
    return name == "cd" or shutil.which(name) is not None
