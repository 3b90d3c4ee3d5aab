"""One name stands for one thing: no two modules define a class, a function or a type of the same public name."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple

from tests.docs.test_generated import ROOT

PACKAGES: Final = ("protocol", "config", "runtime", "sessions", "workers", "broker", "demo", "supervisor")


class Shared(NamedTuple):
    """Names that several modules may define, for one reason."""

    reason: str
    names: frozenset[str]
    places: tuple[str, ...]
    """The modules, or the folders with a slash at the end, that may define them."""


SHARED: Final = (
    Shared(
        "the same thing in two forms of the wire, each named as its protocol does: clients read the names in schemas",
        frozenset(
            {"AgentMessage", "UserMessage", "AgentMessageDelta", "TerminalInteraction"}
            | {"ItemStarted", "ItemCompleted", "PlanStep", "ThreadGoalUpdated"}
        ),
        ("protocol/events/", "protocol/app_server/", "protocol/events/thread_item.py"),
    ),
    Shared(
        "the handshake, which MCP and the app server both call `initialize`",
        frozenset({"ClientInfo", "InitializeParams"}),
        ("protocol/mcp/handshake.py", "protocol/app_server/connection.py"),
    ),
    Shared(
        "where a process begins",
        frozenset({"main"}),
        (
            *(
                "supervisor/main.py",
                "supervisor/processes/engines/fork_server.py",
                "supervisor/processes/engines/spawned.py",
            ),
            *("supervisor/processes/nodes/ray/cluster_process.py", "workers/entry.py", "workers/sandbox/zygote.py"),
            *("workers/files/operation.py", "broker/broker.py", "broker/refresh/process.py", "demo/scripted_model.py"),
        ),
    ),
    Shared(
        "what a job does, or a command of the command line: their callers know them by this name",
        frozenset({"run"}),
        ("workers/jobs/", "supervisor/cli/"),
    ),
    Shared("one interface for all shells", frozenset({"script"}), ("supervisor/cli/reference/",)),
)


def public_names(source: str) -> Iterator[str]:
    """Yield the classes, functions and type aliases at the top of a module that have no underscore."""
    for node in ast.parse(source).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id="TypeAlias")):
                pass
            case _:
                continue
        if not name.startswith("_"):
            yield name


@cache
def defined() -> dict[str, list[str]]:
    """Return each name with the modules that define it."""
    found = defaultdict(list)
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for name in public_names(path.read_text("utf-8")):
            found[name].append(path.relative_to(ROOT).as_posix())
    return found


def ambiguous(names: Mapping[str, list[str]], shared: Iterable[Shared] = SHARED) -> dict[str, list[str]]:
    """Return the names with several modules, unless all of these may share it."""
    places = {name: one.places for one in shared for name in one.names}
    return {
        name: modules
        for name, modules in names.items()
        if len(modules) > 1 and not all(module.startswith(places.get(name, ())) for module in modules)
    }


def test_no_public_name_is_defined_twice() -> None:
    names = defined()
    assert len(names) > 2000, "the modules of the program are looked at"
    assert ambiguous(names) == {}


def test_every_exception_is_still_one() -> None:
    names = defined()
    assert [name for one in SHARED for name in sorted(one.names) if len(names.get(name, ())) < 2] == []
    users = {one: [module for name in one.names for module in names.get(name, ())] for one in SHARED}
    unused = [place for one in SHARED for place in one.places if not any(user.startswith(place) for user in users[one])]
    assert unused == []


def test_a_second_definition_is_found_wherever_it_is() -> None:
    names = {"Turn": ["a/turn.py", "b/turn.py"], "main": ["a/main.py", "b/main.py"], "once": ["a/turn.py"]}
    allowed = [Shared("programs", frozenset({"main"}), ("a/", "b/main.py"))]
    assert ambiguous(names, allowed) == {"Turn": ["a/turn.py", "b/turn.py"]}
    assert ambiguous({"main": ["a/main.py", "c/main.py"]}, allowed) == {"main": ["a/main.py", "c/main.py"]}


def test_what_is_private_or_within_something_counts_for_nothing() -> None:
    source = "class A:\n    class B: ...\n    def b(self): ...\ndef _c(): ...\nasync def d():\n    def e(): ..."
    source += "\nF: TypeAlias = int\n_G: TypeAlias = str\nh: int = 1"
    assert [*public_names(source)] == ["A", "d", "F"]


def test_the_packages_of_the_program_are_all_looked_at() -> None:
    assert sorted(PACKAGES) == sorted(link.name for link in (ROOT / "src" / "greenroom").iterdir() if link.is_symlink())
