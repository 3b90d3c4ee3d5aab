"""Promises about the classes of commands: harmless is what only reads, however it is put."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.approval.harmless_programs import ANY_ARGUMENTS, PROGRAMS
from greenroom.workers.approval.safe_commands import classify

WORDS = st.text(max_size=12)

HARMLESS = [
    "ls",
    "ls -la /etc",
    "/bin/ls",
    "/usr/bin/head -n 5 x",
    "sed -n 1,5p f",
    "sed -n 12p f",
    "sed -n 12p",
    "nl f",
    "find . -name '*.py' -type f",
    "rg -n pattern src",
    "base64 -d f",
    "uniq -c f",
    "seq 1 5",
    "tail -n +5 f",
]
CONFINED = [
    "git status",
    "git status -sb --porcelain=v2",
    "git --no-pager log --oneline -5 --since=yesterday -- src",
    "git diff HEAD~2 --stat -U5 --word-diff=color",
    "git show HEAD^ --name-only",
    "git branch",
    "git branch -vv --sort=-committerdate",
    "git branch --list 'feature/*'",
    "git branch --contains HEAD",
]
UNKNOWN = [
    "",
    "make",
    "cargo check",
    "./ls",
    "/tmp/ls",
    "/usr/local/bin/ls",
    "LS",
    "git",
    "git fetch",
    "git commit -m x",
    "git branch -D main",
    "git branch new",
    "git branch -m old new",
    "git branch --edit-description",
    "git diff --output=x",
    "git diff --outpu=x",
    "git diff --output x",
    "git log -p --ext-diff",
    "git log --ext-d",
    "git show --textconv",
    "git -C /elsewhere status",
    "git -c core.pager=x log",
    "git --git-dir=x log",
    "git --exec-path=x status",
    "git -p log",
    "git --paginate log",
    "git log --output=x",
    "git status --no-such-option",
    "sed -n xp f",
    "sed -n 1,5p -fscript",
    "sed -n 1,5p --in-place",
    "sed -n '1e date' f",
    "sed -i s/a/b/ f",
    "sed -n '' f",
    "sed 1p f",
    *(
        f"find . {action} x"
        for action in ("-exec", "-execdir", "-ok", "-okdir", "-fls", "-fprint", "-fprint0", "-fprintf")
    ),
    "find . -delete",
    "find . -files0-from f",
    "find . -name",
    "find -no-such-test",
    "rg --pre x p",
    "rg --pre=x p",
    "rg --hostname-bin x p",
    "rg --hostname-bin=x p",
    "rg --search-zip p",
    "rg -z p",
    "rg -nz p",
    "base64 -o out f",
    "base64 --output=out f",
    "uniq in out",
    "uniq -- in out",
    "uniq - out",
    "uniq -c - out",
    "uniq -f 1 in out",
    "uniq -f1 - out",
    "uniq in -c",
    "uniq --cou in",
    "uniq --skip-fields - out",
    "git log -L -- --output=F",
    "git log -S -- --output=F",
    "git diff f1 -G -- --output=F f2",
    "git log -n -- --output=F",
    "git log --author -- --output=F",
    "git diff -O order",
    "git log --since --output=F",
    "git -C x status",
    "rg -e --pre=x p",
    "rg -g --pre p",
    "base64 --out=f x",
    "base64 x y",
    "sudo ls",
    "env ls",
    "xargs ls",
    "python -c 1",
]
HARMLESS_SCRIPTS = [
    "ls && pwd",
    "ls || pwd; echo 'a b' | wc -l",
    "cat *.txt",
    "rg foo src/*.py",
    "echo ~",
    r"echo foo\ bar",
]
UNKNOWN_SCRIPTS = [
    "ls && make",
    "(ls)",
    "ls > f",
    "ls 2>/dev/null",
    "ls &",
    "X=1 ls",
    "echo $(rm x)",
    "echo $HOME",
    "'ls'",
    "l\\s && make",
    r"find . -delet\e",
    r"find . \-delete",
    "find . '-delete'",
    'find . "-delete"',
    "find . *",
    "find . -d?lete",
    "rg pattern *",
    "rg pattern ?-pre=x",
    "git diff *",
    "uniq *",
    "cd x && make",
    "ls # comment",
    "",
]


@pytest.mark.parametrize("command", HARMLESS)
def test_commands_that_only_read_are_harmless(command: str) -> None:
    assert classify(shlex.split(command)) == "harmless"


@pytest.mark.parametrize("command", CONFINED)
def test_what_may_start_programs_of_its_directory_is_harmless_where_it_is_confined(command: str) -> None:
    assert classify(shlex.split(command)) == "harmless_confined"
    assert classify(["bash", "-c", f"cd x && ls && {command}"]) == "harmless_confined"


@pytest.mark.parametrize("command", UNKNOWN)
def test_other_commands_are_not(command: str) -> None:
    assert classify(shlex.split(command)) == "unknown"


@pytest.mark.parametrize("script", [*HARMLESS_SCRIPTS, *(command for command in HARMLESS if "'" not in command)])
@pytest.mark.parametrize("shell", [("bash", "-lc"), ("zsh", "-lc"), ("/bin/sh", "-c")])
def test_scripts_of_harmless_commands_are_harmless(script: str, shell: tuple[str, str]) -> None:
    assert classify([*shell, script]) == "harmless"


@pytest.mark.parametrize("script", [*UNKNOWN_SCRIPTS, *UNKNOWN])
def test_scripts_of_anything_else_are_not(script: str) -> None:
    assert classify(["bash", "-lc", script]) == "unknown"


@pytest.mark.parametrize(
    "argv",
    [
        ["bash", "-lc", "ls", "x"],
        ["bash", "ls"],
        ["bash", "-x", "-c", "ls"],
        ["./bash", "-c", "ls"],
        ["fish", "-c", "ls"],
        ["bash", "-lc", "bash -c ls"],
    ],
)
def test_other_ways_to_start_a_shell_are_not_known(argv: list[str]) -> None:
    assert classify(argv) == "unknown"


@pytest.mark.parametrize(
    "command",
    [
        "rm -f x",
        "rm -rf /",
        "rm x -fr",
        "rm --force x",
        "/bin/rm -rf x",
        "sudo rm -rf x",
        "sudo -n env A=1 rm -f x",
        "bash -lc 'ls && rm -rf x'",
        "sudo bash -c 'rm -rf x'",
        "bash -c \"sh -c 'rm -rf x'\"",
    ],
)
def test_removing_without_asking_is_dangerous(command: str) -> None:
    assert classify(shlex.split(command)) == "dangerous"


@pytest.mark.parametrize("command", ["rm x", "rm -r x", "rm -- -f", "rmdir -f x", "echo x && make", "sudo", "env A=1"])
def test_removing_with_asking_is_not(command: str) -> None:
    assert classify(shlex.split(command)) != "dangerous"


@given(st.lists(WORDS, max_size=6))
def test_any_argv_has_a_class_and_harmless_ones_have_known_programs(argv: list[str]) -> None:
    if classify(argv) == "harmless" and argv[0] not in {"bash", "sh", "zsh"}:
        assert argv[0] in ANY_ARGUMENTS | PROGRAMS.keys()


@given(st.text(max_size=40), st.sampled_from(["-lc", "-c"]))
def test_any_script_has_a_class(script: str, flag: str) -> None:
    assert classify(["bash", flag, script]) in {"harmless", "harmless_confined", "unknown", "dangerous"}


@given(st.lists(st.sampled_from(["ls", "make", "rm -rf x", "git status", "find . -delete"]), min_size=1, max_size=4))
def test_a_script_is_as_harmless_as_the_least_of_its_commands(commands: list[str]) -> None:
    order = ["harmless", "harmless_confined", "unknown", "dangerous"]
    worst = max((classify(shlex.split(command)) for command in commands), key=order.index)
    for joint in (" && ", " || ", "; ", " | ", "\n"):
        assert classify(["bash", "-lc", joint.join(commands)]) == worst


def test_deep_scripts_end() -> None:
    nested = "rm -rf x"
    for _ in range(30):
        nested = f"bash -c {shlex.quote(nested)}"
        if len(nested) > 50_000:
            break
    assert classify(shlex.split(nested)) in {"dangerous", "unknown"}
    assert classify(["sudo"] * 100_000) == "unknown"
