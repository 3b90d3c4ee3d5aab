"""Command summaries tell a client in a few words what a command is for."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.protocol.items import JsonObject
from greenroom.workers.exec.summary import summarize


def bash(script: str) -> list[str]:
    return ["bash", "-lc", script]


def read(cmd: str, path: str, name: str) -> JsonObject:
    return {"type": "read", "cmd": cmd, "name": name, "path": path}


def listing(cmd: str, path: str | None = None) -> JsonObject:
    return {"type": "list_files", "cmd": cmd, "path": path}


def search(cmd: str, query: str | None, path: str | None) -> JsonObject:
    return {"type": "search", "cmd": cmd, "query": query, "path": path}


def unknown(cmd: str) -> JsonObject:
    return {"type": "unknown", "cmd": cmd}


NL_SED = "nl -ba pkg/mod.go | sed -n '1,80p'"

CASES: list[tuple[list[str], list[JsonObject]]] = [
    (bash("cat docs/guide.md"), [read("cat docs/guide.md", "docs/guide.md", "guide.md")]),
    (bash("sed -n '5,40p' lib/http.py"), [read("sed -n '5,40p' lib/http.py", "lib/http.py", "http.py")]),
    (bash(NL_SED), [read(NL_SED, "pkg/mod.go", "mod.go")]),
    (bash("cat a.txt | sort"), [read("cat a.txt", "a.txt", "a.txt")]),
    (bash("ls -la services/api/src"), [listing("ls -la services/api/src", "api")]),
    (
        bash("rg -n 'def main' app/src | head -n 5"),
        [search("rg -n 'def main' app/src", "def main", "app"), unknown("head -n 5")],
    ),
    (bash("rg --files web/dist | wc -l"), [search("rg --files web/dist", None, "web")]),
    (bash("cd web && npm test"), [unknown("cd web"), unknown("npm test")]),
    (["bash", "-c", "cd sub && pytest -q"], [unknown("pytest -q")]),
    (bash("make > log"), [unknown("make > log")]),
    (bash("make all && true"), [unknown("make all && true")]),
    (bash("true && true"), [unknown("true && true")]),
    (bash("wc -l x"), [unknown("wc -l x")]),
    (bash("ls ; ls"), [listing("ls")]),
    (["find", "tests", "-name", "*_t.py"], [search("find tests -name '*_t.py'", "*_t.py", "tests")]),
    (["find", "!", "-path", "x"], [search("find '!' -path x", "x", None)]),
    (["fd", "-e", "rs", "foo", "crates/"], [search("fd -e rs foo crates/", "foo", "crates")]),
    (["fd", "a/b"], [search("fd a/b", None, "b")]),
    (["fd", "main"], [search("fd main", "main", None)]),
    (["grep", "-rn", "TODO", "src"], [search("grep -rn TODO src", "TODO", "src")]),
    (["ls", "--color", "always", "x"], [listing("ls --color always x", "x")]),
    (["head", "-20", "LOG"], [unknown("head -20 LOG")]),
    (["head", "-n20", "LOG"], [read("head -n20 LOG", "LOG", "LOG")]),
    (["tail", "-n", "+3", "a/b.txt"], [read("tail -n +3 a/b.txt", "a/b.txt", "b.txt")]),
    (["head", "-n", "+3", "a"], [unknown("head -n +3 a")]),
    (["cat", "--", "x"], [read("cat -- x", "x", "x")]),
    (["cat", "a", "b"], [unknown("cat a b")]),
    (["nl", "-b", "a"], [unknown("nl -b a")]),
    (["pnpm", "run", "fmt"], [unknown("pnpm run fmt")]),
    (["ruff", "check", "pkg/a.py"], [unknown("ruff check pkg/a.py")]),
    (["true"], [unknown("true")]),
    (["yes", "|", "ls"], [listing("ls")]),
    (["bash", "-c", "echo hi && cat x"], [read("cat x", "x", "x")]),
    (["bash", "-c", "cat x | nl -ba"], [read("cat x", "x", "x")]),
    (["bash", "-c", "cat 'open"], [unknown("cat 'open")]),
    (["bash", "-c", ""], [unknown("")]),
    (["ls", "src/"], [listing("ls src/", "src")]),
    (["ls", "a\\node_modules\\"], [listing('ls "a\\\\node_modules\\\\"', "a")]),
]


@pytest.mark.parametrize(("argv", "summaries"), CASES, ids=[" ".join(argv) for argv, _ in CASES])
def test_summaries(argv: list[str], summaries: list[JsonObject]) -> None:
    assert msgspec.to_builtins(summarize(argv)) == summaries


WORDS = [
    "bash",
    "-lc",
    "-c",
    "ls",
    "|",
    "&&",
    ";",
    "cat",
    "rg",
    "find",
    "sed",
    "head",
    "nl",
    "fd",
    "yes",
    "-n",
    "1p",
    "",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS)))
def test_every_command_has_a_summary(argv: list[str]) -> None:
    summaries = summarize(argv)
    assert summaries
    assert {str(summary.__struct_config__.tag) for summary in summaries} <= {"read", "list_files", "search", "unknown"}
