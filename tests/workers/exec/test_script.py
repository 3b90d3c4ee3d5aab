"""A script counts as plain only when its words are all that it does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.protocol.quoting import shell_split
from greenroom.workers.exec.script import plain_commands


@pytest.mark.parametrize(
    ("script", "commands"),
    [
        ("ls", [["ls"]]),
        ("ls -1 && pwd; echo 'x y' | wc -l", [["ls", "-1"], ["pwd"], ["echo", "x y"], ["wc", "-l"]]),
        ("find . -name *.c", [["find", ".", "-name", "*.c"]]),
        (r'echo "a\nb"', [["echo", r"a\nb"]]),
        ("git show HEAD^", [["git", "show", "HEAD^"]]),
        (r"echo foo\ bar", [["echo", r"foo\ bar"]]),
        ("  ls  ;", [["ls"]]),
        ("\n\nls\n\npwd\n", [["ls"], ["pwd"]]),
        ("ls &&\npwd", [["ls"], ["pwd"]]),
        ("echo ''", [["echo", ""]]),
        ("make a=b", [["make", "a=b"]]),
        ("ls ~ a?", [["ls", "~", "a?"]]),
        ("ls a#b", [["ls", "a#b"]]),
        ("sed -n '1,5p' x||true", [["sed", "-n", "1,5p", "x"], ["true"]]),
    ],
)
def test_a_sequence_of_plain_commands_is_read(script: str, commands: list[list[str]]) -> None:
    read = plain_commands(script)
    assert read is not None
    assert [list(command.written) for command in read] == commands


REFUSED = [
    "", "  ", "ls > f", "ls 2>&1", "ls < f", "cat <<E\nx\nE", "ls &", "ls & pwd", "ls |& wc", "ls ;; pwd", "; ls",
    "ls ; ; pwd",
    "(ls)", "{ ls; }", "! ls", "X=1 ls", "X=1", "a+=1 ls", "a[1]=2 ls", "export X=1", "unset X", "[ -f x ]",
    "[[ -f x ]]",
    "if ls; then pwd; fi", "for x in a; do ls; done", "while ls; do pwd; done", "echo $HOME", "echo $(ls)", "echo `ls`",
    "echo $((1))", 'echo "$x"', 'echo "a $"', 'echo "`ls`"', "echo $'a'", 'echo $"a"', "echo {a,b}", "ls # c", "# c",
    'a"b"', "echo 'a''b'", "echo a'b'", "echo [abc]", "grep ^x$", 'echo ""', 'echo "a\nb"', "'git' status",
    '"git" status',
    "ls &&", "ls ||", "ls |", "&& ls", "ls && && pwd", "echo 'open", 'echo "open', "ls \\\n-l", "ls \\",
    "diff <(a) <(b)",
    "ls\rpwd", "function f", "coproc ls",
]  # fmt: skip


@pytest.mark.parametrize("script", REFUSED)
def test_everything_else_is_refused(script: str) -> None:
    assert plain_commands(script) is None


@settings(deadline=None)
@given(st.text("abX=1 '\"\\$`;&|<>(){}[]#!*\n-", max_size=30))
def test_what_is_read_has_the_words_that_a_shell_would_see(script: str) -> None:
    commands = plain_commands(script)
    if commands is None or "\\" in script:
        return
    words = [word for command in commands for word in command.written]
    gaps = script.replace("&&", " && ").replace("|", " | ").replace(";", " ; ")
    if not any(joint in "".join(words) for joint in "&|;"):
        assert words == [word for word in shell_split(gaps) or [] if word not in {"&&", "|", ";"}]
