"""Completions offer what the command line accepts at that place, in the shells that are there to try them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from greenroom.supervisor.cli.command_line import SHELLS, command_table
from greenroom.supervisor.cli.reference.completion import SCRIPTS

TABLE = command_table()
TOP = {" ".join(command.words) for command in TABLE.commands} | {"--help", "--version", "--json"}

CASES: list[tuple[str, set[str]]] = [
    ("", TOP),
    ("sess", {"sessions"}),
    ("sessions ", {"list", "show", "export", "compress", "delete", "prune", "--help"}),
    ("sessions ex", {"export"}),
    ("sessions export --format ", {"markdown", "json"}),
    ("sessions export --format j", {"json"}),
    ("sessions list --state un", {"unfinished", "unreadable"}),
    ("mcp-server --engine ", {"fork", "spawn"}),
    ("mcp-server --engine fork --log-l", {"--log-level"}),
    ("-c model=x mcp-server --engine s", {"spawn"}),
    ("mcp lo", {"login", "logout"}),
    ("completion ", {"bash", "fish", "zsh", "--help"}),
    ("app-server gen", {"generate-json-schema"}),
    ("exec --sandbox read", {"read-only"}),
]
"""What was typed after the name of the program → what is offered; of options, those with two hyphens."""


def need(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not there")
    return path


def run(*words: str, text: str = "", cwd: Path | None = None) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd or "/nowhere"), "TERM": "dumb"}
    done = subprocess.run(
        words, input=text, cwd=cwd, env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_reads_the_script(shell: str, tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(SCRIPTS[shell]("greenroom", TABLE), "utf-8")
    run(need(shell), "-n", str(path))


BASH = """
source "$0"
mapfile -t words
COMP_WORDS=(greenroom "${words[@]}"); COMP_CWORD=${#words[@]}
_greenroom
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered_by_bash(typed: str, script: Path) -> set[str]:
    return {
        *run(need("bash"), "-c", BASH, str(script), text="\n".join(typed.split(" ")) + "\n", cwd=script.parent).split()
    }


@pytest.fixture
def bash(tmp_path: Path) -> Path:
    path = tmp_path / "greenroom.bash"
    path.write_text(SCRIPTS["bash"]("greenroom", TABLE), "utf-8")
    return path


@pytest.mark.parametrize(("typed", "offered"), CASES)
def test_bash_offers_what_fits(bash: Path, typed: str, offered: set[str]) -> None:
    assert offered_by_bash(typed, bash) == offered


def test_bash_completes_a_value_behind_an_equals_sign(bash: Path) -> None:
    """Bash splits the words there (COMP_WORDBREAKS)."""
    assert offered_by_bash("mcp-server --attach = r", bash) == {"require"}
    assert offered_by_bash("mcp-server --engine =", bash) == {"fork", "spawn"}


def test_bash_offers_files_and_directories_where_they_are_meant(bash: Path) -> None:
    (bash.parent / "folder").mkdir()
    assert offered_by_bash("exec --cd fo", bash) == {"folder"}
    assert offered_by_bash("exec --output-last-message green", bash) == {"greenroom.bash"}


def test_every_command_offers_its_own_words_in_bash(bash: Path) -> None:
    """One shell for all of them: the words of the table are what is offered."""
    commands = [command for command in TABLE.walk() if command.words]
    program = (
        'source "$0"\nwhile read -r line; do COMP_WORDS=(greenroom $line ""); COMP_CWORD=$((${#COMP_WORDS[@]}-1))\n'
    )
    program += '_greenroom; echo "${COMPREPLY[*]}"; done'
    typed = "".join(f"{' '.join(command.words)}\n" for command in commands)
    lines = run(need("bash"), "-c", program, str(bash), text=typed, cwd=bash.parent).splitlines()
    for command, line in zip(commands, lines, strict=True):
        words = {below.words[-1] for below in command.commands}
        words |= {flag for option in command.shown_options for flag in option.flags if flag.startswith("--")}
        assert words <= {*line.split()}, command.words


@pytest.mark.parametrize(("typed", "offered"), CASES)
def test_fish_offers_what_fits(tmp_path: Path, typed: str, offered: set[str]) -> None:
    fish = need("fish")
    path = tmp_path / "greenroom.fish"
    path.write_text(SCRIPTS["fish"]("greenroom", TABLE), "utf-8")
    told = run(fish, "-N", "-c", f"source {path}; complete -C 'greenroom {typed}'", cwd=tmp_path)
    found = {line.split("\t")[0] for line in told.splitlines()}
    plain = {word for word in offered if not word.startswith("--")}
    assert {word for word in found if not word.startswith("-")} == plain


def test_zsh_knows_every_command(tmp_path: Path) -> None:
    zsh = need("zsh")
    (tmp_path / "_greenroom").write_text(SCRIPTS["zsh"]("greenroom", TABLE), "utf-8")
    steps = (f"fpath=({tmp_path} $fpath)", "autoload -Uz compinit", "compinit -u -D", "echo $_comps[greenroom]")
    assert run(zsh, "-f", "-c", "; ".join(steps), cwd=tmp_path).strip() == "_greenroom"
