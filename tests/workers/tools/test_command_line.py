"""Commands are understood in the ways in which models write them, and a list is never run as the text of a shell."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.tools.command_line import argv_or_script
from greenroom.workers.tools.types import ToolFailure
from tests.workers.tools.conftest import Conversation, Conversations


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("ls -la", "ls -la"),
        ("", ""),
        (["ls", "-la"], ("ls", "-la")),
        ([], ()),
        ('["echo", "hi"]', ("echo", "hi")),
        (' ["bash", "-lc", "a | b"]\n', ("bash", "-lc", "a | b")),
        ("['echo', 'hi']", ("echo", "hi")),
        (['["echo", "hi"]'], ("echo", "hi")),
        (['["ls"]'], ("ls",)),
        (["ls -la | head"], "ls -la | head"),
        (['["echo", "hi there"]'], ("echo", "hi there")),
        (["bash -lc 'ls x'"], "bash -lc 'ls x'"),
        (["bash -lc", "ls x"], ("bash", "-lc", "ls x")),
        (["my program", "x"], ("my program", "x")),
        ("[ -f x ] && echo y", "[ -f x ] && echo y"),
        ("[[ -f x ]] && echo y", "[[ -f x ]] && echo y"),
        ("{ ls; }", "{ ls; }"),
        ("{a,b}", "{a,b}"),
    ],
)
def test_command_is_understood(command: str | list[str], expected: object) -> None:
    assert argv_or_script(command, (), "/") == expected


@pytest.mark.parametrize(
    "command",
    ['["echo", "hi"', '["echo", 5]', "[echo, hi]", '["a"] && x', '{"command": ["ls"]}', '[["ls"]]', "['a', None]"],
)
def test_what_is_meant_as_a_list_and_is_none_runs_nothing(command: str) -> None:
    for written in (command, [command]):
        with pytest.raises(ToolFailure, match=r"^failed to parse function arguments: `command` "):
            argv_or_script(written, (), "/")


def test_arguments_may_stand_apart() -> None:
    assert argv_or_script("ls", ["-l", "a b"], "/") == ("ls", "-l", "a b")
    assert argv_or_script(["git", "log"], ["-1"], "/") == ("git", "log", "-1")
    with pytest.raises(ToolFailure, match="`args` can only follow"):
        argv_or_script("ls | head", ["-l"], "/")


def test_program_with_a_blank_in_its_path_is_a_program(tmp_path: Path) -> None:
    (tmp_path / "my program").touch()
    assert argv_or_script(["my program"], (), str(tmp_path)) == ("my program",)
    assert argv_or_script(["my program"], (), "/") == "my program"


@given(st.lists(st.text(max_size=10), min_size=2, max_size=5))
def test_list_in_a_text_is_that_list(words: list[str]) -> None:
    assert argv_or_script(json.dumps(words), (), "/") == tuple(words)
    assert argv_or_script(repr(words), (), "/") == tuple(words)


@given(st.text(max_size=30), st.lists(st.text(max_size=5), max_size=2))
def test_no_command_breaks_the_reader_and_no_list_becomes_shell_text(text: str, extra: list[str]) -> None:
    for command in (text, "[" + text, [text]):
        try:
            found = argv_or_script(command, extra, "/nonexistent")
        except ToolFailure:
            continue
        if isinstance(found, str):
            try:
                assert not isinstance(json.loads(found), list)
            except ValueError:
                continue


def test_list_in_a_text_runs(conversation: Conversation) -> None:
    assert "hi-42\\n" in conversation.run(command=json.dumps(["echo", "hi-42"])).text
    assert conversation.events[0]["command"] == ["echo", "hi-42"]
    assert "hi-42" in conversation.call("exec_command", {"cmd": json.dumps(["echo", "hi-42"])}).text
    assert "hi-42" in conversation.call("exec_command", {"command": ["bash", "-lc", "echo hi-42"]}).text


@pytest.mark.parametrize(
    "more",
    [
        {"timeout_ms": "5000"},
        {"timeout": "5000.0"},
        {"timeout_ms": 5000.0},
        {"timeout_ms": None, "workdir": None, "justification": None},
        {"workdir": ""},
        {"with_escalated_permissions": "false"},
        {"novelty": [1]},
    ],
)
def test_values_may_be_written_otherwise(conversation: Conversation, more: dict[str, object]) -> None:
    assert conversation.run(command=["echo", "hi"], **more).success


@pytest.mark.parametrize(
    "arguments",
    [
        {"cmd": ["echo", "hi"]},
        {"cmd": "echo hi"},
        {"script": "echo hi"},
        {"command": "echo", "args": ["hi"]},
        {"command": None, "cmd": "echo hi"},
        {"command": "echo hi", "cmd": "echo hi"},
    ],
)
def test_command_may_have_another_name(conversation: Conversation, arguments: dict[str, object]) -> None:
    told = conversation.call("shell", arguments)
    assert (told.success, "hi" in told.text) == (True, True)


@pytest.mark.parametrize("name", ["workdir", "cwd", "working_directory"])
@pytest.mark.parametrize("tool", ["shell", "exec_command"])
def test_directory_may_have_another_name(begin: Conversations, tmp_path: Path, tool: str, name: str) -> None:
    (tmp_path / "sub").mkdir()
    assert str(tmp_path / "sub") in begin(tmp_path).call(tool, {"command": "pwd", name: "sub"}).text


@pytest.mark.parametrize(
    "arguments",
    [
        {"command": "ls", "cmd": "pwd"},
        {"command": "ls", "workdir": "a", "cwd": "b"},
        {"command": "ls", "timeout_ms": "soon"},
        {"command": "ls", "timeout_ms": "inf"},
        {"command": "ls", "timeout_ms": "nan"},
        {"command": "ls", "args": "-l"},
        {"command": '["ls"'},
        {"command": {"x": 1}},
        {"command": None},
    ],
)
def test_what_leaves_a_doubt_runs_nothing(conversation: Conversation, arguments: dict[str, object]) -> None:
    assert conversation.call("shell", arguments).text.startswith("failed to parse function arguments: ")
    assert conversation.events == []
