"""The command line of `exec` is read as the reference reads it, where that makes sense."""

from typing import Any

import pytest

from greenroom.supervisor.cli.exec.arguments import UNSUPPORTED, ExecCommandLine, parse_exec_words

FILES = ("a.png", "b.png", "a,b.png")


def read(*words: str) -> ExecCommandLine:
    return parse_exec_words(words, FILES.__contains__)


@pytest.mark.parametrize(
    ("words", "members"),
    [
        (("hi",), {"prompt": "hi"}),
        (("--worktree", "hi"), {"prompt": "hi", "worktree": True}),
        (("-",), {"prompt": "-"}),
        ((), {"prompt": None}),
        (("--", "-v is what?"), {"prompt": "-v is what?"}),
        (("- do this",), {"prompt": "- do this"}),
        (("--json", "hi"), {"prompt": "hi", "as_lines": True}),
        (("--experimental-json",), {"as_lines": True}),
        (("resume", "ID"), {"resumes": True, "session": "ID", "prompt": None}),
        (("resume", "ID", "hi"), {"resumes": True, "session": "ID", "prompt": "hi"}),
        (("resume", "--last", "hi"), {"resumes": True, "session": None, "prompt": "hi"}),
        (("--json", "resume", "ID", "--image", "a.png"), {"session": "ID", "images": ["a.png"], "prompt": None}),
        (("--image", "a.png", "resume", "ID"), {"session": "ID", "images": ["a.png"]}),
        (("-i", "a.png", "b.png", "hi"), {"images": ["a.png", "b.png"], "prompt": "hi"}),
        (("-i", "a.png,b.png", "hi"), {"images": ["a.png", "b.png"], "prompt": "hi"}),
        (("-i", "a,b.png"), {"images": ["a,b.png"]}),
        (("-i", "none.png", "hi"), {"images": ["none.png"], "prompt": "hi"}),
        (("--image=a.png", "hi"), {"images": ["a.png"], "prompt": "hi"}),
        (("hi", "-c", "a=1", "--config", "b=2"), {"config": ["a=1", "b=2"]}),
        (("--enable", "x", "--disable", "y"), {"config": ["features.x=true", "features.y=false"]}),
        (("--ignore-rules",), {"config": ["greenroom.ignore_rules=true"]}),
        (("--oss", "--local-provider", "ollama"), {"oss": True, "config": ["oss_provider=ollama"]}),
        (("--add-dir", "x", "--add-dir", "y", "-s", "read-only"), {"directories": ["x", "y"], "sandbox": "read-only"}),
        (("-C", "x", "-m", "m", "-p", "p", "-o", "f"), {"cwd": "x", "model": "m", "profile": "p", "last_message": "f"}),
        (("--yolo",), {"bypass": True}),
    ],
)
def test_words_and_what_they_mean(words: tuple[str, ...], members: dict[str, Any]) -> None:
    found = read(*words)
    assert {name: getattr(found, name) for name in members} == members


@pytest.mark.parametrize(
    "words",
    [
        ("one", "two"),
        ("resume",),
        ("resume", "ID", "hi", "more"),
        ("--last", "hi"),
        ("--all", "hi"),
        ("--full-auto", "hi"),
        ("-s", "bogus"),
        ("--color", "maybe"),
        ("--mod", "m"),
        ("--worktree", "resume", "--last"),
        ("--worktree", "--ephemeral", "hi"),
        *((flag,) for flag in UNSUPPORTED),
    ],
)
def test_what_means_nothing_is_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read(*words)
    assert ended.value.code == 2
    assert "greenroom exec: error:" in capsys.readouterr().err
