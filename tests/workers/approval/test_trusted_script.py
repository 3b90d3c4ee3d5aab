"""Promises of the script reader: it never fails, and what it accepts bash reads in the same way."""

import os
import re
import shlex
import subprocess
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.workers.approval.trusted_script import trusted_commands
from greenroom.workers.exec.script import plain_commands

ACCEPTED = [
    ("ls -1 && pwd; echo 'x y' | wc -l", [["ls", "-1"], ["pwd"], ["echo", "x y"], ["wc", "-l"]]),
    ("find . -name *.c", [["find", ".", "-name", "*.c"]]),
    ('echo "a\\nb"', [["echo", "a\\nb"]]),
    ("git show HEAD^", [["git", "show", "HEAD^"]]),
    ("echo foo\\ bar", [["echo", "foo bar"]]),
    ("echo \\$x \"\\$x\" '$x'", [["echo", "$x", "$x", "$x"]]),
    ("ls;", [["ls"]]),
    ("\n\n ls\n\tpwd\n", [["ls"], ["pwd"]]),
    ("ls &&\n pwd", [["ls"], ["pwd"]]),
    ("echo a=b ''", [["echo", "a=b", ""]]),
    ("echo a#b 5 --x=1,2 a:b @ % + é", [["echo", "a#b", "5", "--x=1,2", "a:b", "@", "%", "+", "é"]]),
    ("ls|wc", [["ls"], ["wc"]]),
]
REFUSED = [
    *(
        "",
        " ",
        "\n",
        "ls > f",
        "ls < f",
        "cat <<E\nx\nE",
        "cat <<< x",
        "ls 2>&1",
        "ls &",
        "ls & pwd",
        "ls |& wc",
        "ls ;; pwd",
    ),
    *("(ls)", "{ ls; }", "! ls", "X=1 ls", "X=1", "X+=1 ls", "export A=1", "unset a", "declare a", "[ a ]", "[[ a ]]"),
    *("if a; then b; fi", "while a; do b; done", "f() { ls; }", "case a in b) c;; esac", "time ls", "coproc ls"),
    *(
        "echo $x",
        "echo ${x}",
        "echo $(ls)",
        "echo `ls`",
        "echo $((1))",
        'echo "$x"',
        'echo "$"',
        "echo $'x'",
        'echo $"x"',
    ),
    *("echo {a,b}", "echo a{b,c}", "ls # c", "# c", 'a"b"', "echo a'b'", "echo 'a''b'", 'echo "a"b', "echo [abc]"),
    *(
        "echo ^x$",
        'echo ""',
        'echo "a\nb"',
        "'git' status",
        '"git" status',
        "\\ls",
        "ls &&",
        "ls ||",
        "ls |",
        "&& ls",
        "; ls",
    ),
    *(
        "echo a\\\nb",
        "echo \\",
        "echo 'a",
        'echo "a',
        "echo @(a)",
        "ls\r\n",
        "echo a\u00a0b",
        "ls\0",
        "echo \ud800",
        "echo a\x0cb",
    ),
    *("<(ls)", "echo <(ls)", "ls <>f", "select a in b; do c; done", "((a))", "a[1]=2 ls", "ls\u2028pwd"),
]


@pytest.mark.parametrize(("script", "commands"), ACCEPTED)
def test_plain_scripts_are_read(script: str, commands: list[list[str]]) -> None:
    read = trusted_commands(script)
    assert read is not None
    assert [list(command.argv) for command in read] == commands


@pytest.mark.parametrize("script", REFUSED)
def test_other_scripts_are_refused(script: str) -> None:
    assert trusted_commands(script) is None


@pytest.mark.parametrize("script", ["ls !", "find . ! -name x", "ls a!b", "x^ a", "é a", "ls; -x"])
def test_plain_scripts_out_of_the_ordinary_are_refused(script: str) -> None:
    assert plain_commands(script) is not None
    assert trusted_commands(script) is None


@pytest.mark.parametrize("script", [r"ls \!", "ls '!' \"a!\"", "ls 'a' b\\!c"])
def test_an_exclamation_mark_that_is_quoted_is_a_character(script: str) -> None:
    assert trusted_commands(script) is not None


def test_what_bash_may_replace_is_marked() -> None:
    read = trusted_commands("ls *.c a?b ~/x a=~ '*' \\* x~ plain")
    assert read is not None
    assert [word.pattern for word in read[0].words] == [False, True, True, True, True, False, False, False, False]


def test_long_and_deep_scripts_end_soon() -> None:
    chain = trusted_commands(" && ".join(["ls"] * 5000))
    assert chain is not None
    assert len(chain) == 5000
    assert trusted_commands("ls;" * 40_000) is None
    assert trusted_commands("(" * 30_000) is None
    assert trusted_commands("a | " * 10_000 + "b") is not None


# Only letters that make no names of builtins; the handler below stands in for all commands.
PIECES = st.sampled_from(
    [
        *(
            "x",
            "y",
            "xy",
            "yx",
            " ",
            " ",
            " ",
            "  ",
            "\t",
            "\n",
            ";",
            "|",
            "||",
            "&&",
            "&",
            "'",
            '"',
            "'x y'",
            '"y x"',
            "''",
        ),
        *(
            "\\",
            "\\x",
            "\\ ",
            "\\'",
            '\\"',
            "\\\\",
            "\\$",
            "\\\n",
            "$",
            "$x",
            "`",
            "#",
            "=",
            "~",
            "*",
            "?",
            "-",
            "--",
            "+",
        ),
        *(
            "{",
            "}",
            "(",
            ")",
            "<",
            ">",
            "!",
            "^",
            "%",
            "@",
            ",",
            "[",
            "]",
            "é",
            "\u00a0",
            "\u2003",
            "\r",
            "1",
            "0",
            "%x",
        ),
    ]
)
SCRIPTS = st.lists(PIECES, min_size=1, max_size=14).map("".join)
CHARACTERS = st.text(' xy$`\\"#=~*?;|&{}()[]<>!^\t', max_size=6)
WORDS = st.one_of(
    st.sampled_from(["x", "-y", "a=b", "x/y", "1"]),
    CHARACTERS.map(lambda text: f"'{text}'"),
    CHARACTERS.filter(bool).map(lambda text: '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'),
    CHARACTERS.filter(bool).map(lambda text: re.sub(r"(.)", r"\\\1", text)),
)
COMMANDS = st.tuples(st.sampled_from(["x", "y", "xy"]), st.lists(WORDS, max_size=3)).map(
    lambda parts: " ".join((parts[0], *parts[1]))
)
JOINTS = st.sampled_from([" && ", "||", "; ", "|", "\n", ";\n\n ", " &&\n"])
WELL_FORMED = st.lists(st.tuples(COMMANDS, JOINTS), min_size=1, max_size=4).map(
    lambda parts: "".join(command + joint for command, joint in parts) + "x"
)
HANDLER = """
set -f
PATH=/nonexistent
command_not_found_handle() { printf '%s\\0' "$#" "$@" >&3; return STATUS; }
"""


def executed(script: str, status: int) -> list[tuple[str, ...]]:
    """Have bash run a script of unknown commands and tell the argv of each."""
    reader, writer = os.pipe()
    with open(reader, "rb") as told:
        subprocess.run(
            ["/bin/bash", "--norc", "-c", f"exec 3>&{writer}\n{HANDLER.replace('STATUS', str(status))}\n{script}\n"],
            pass_fds=[writer],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8"},
            check=False,
            timeout=20,
        )
        os.close(writer)
        words = told.read().decode().split("\0")[:-1]
    commands: list[tuple[str, ...]] = []
    while words:
        count = int(words[0])
        commands.append(tuple(words[1 : count + 1]))
        words = words[count + 1 :]
    return commands


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(SCRIPTS | WELL_FORMED)
def test_bash_reads_accepted_scripts_alike(script: str) -> None:
    read = trusted_commands(script)
    if read is None or any("~" in word.text and word.pattern for command in read for word in command.words):
        return
    accepted = Counter(command.argv for command in read)
    for status in (0, 1):
        ran = Counter(executed(script, status))
        assert ran <= accepted
        if "||" not in script and (status == 0 or "&&" not in script):
            assert ran == accepted


@given(SCRIPTS | WELL_FORMED | st.text())
def test_what_is_read_is_read_alike_when_its_words_are_quoted(script: str) -> None:
    read = trusted_commands(script)
    if read is not None:
        quoted = (" ".join((command.argv[0], *map(shlex.quote, command.argv[1:]))) for command in read)
        again = trusted_commands("; ".join(quoted))
        assert again is not None
        assert [command.argv for command in again] == [command.argv for command in read]
