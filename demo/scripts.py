"""The scripts that ship with the program, by name."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from greenroom.demo.script import (
    Call,
    CommandStep,
    Deltas,
    PatchStep,
    Quote,
    ReasoningStep,
    Script,
    ScriptedAction,
    ScriptRule,
    Stall,
    Text,
    Think,
    make_script,
    rule,
)

NOTE: Final = "note.txt"
NOTE_TEXT: Final = "Written by a command that the script asked for."
OUTSIDE: Final = "outside.txt"
"""In the parent of the working directory, where a confined command may not write."""
FIRST_PROMPT: Final = "Leave a note in this directory and one outside of it, then show me what is there."
SECOND_PROMPT: Final = "What does the note say?"
THIRD_PROMPT: Final = "Is the note still there?"

_STEPS: Final = ("Write the notes", "List the directory")


def _plan(*statuses: str) -> ScriptedAction:
    plan = [{"step": step, "status": status} for step, status in zip(_STEPS, statuses, strict=True)]
    return Call("update_plan", {"plan": plan})


def _words(text: str, pause: float) -> Text:
    return Text(re.findall(r"\S+\s*", text), pause)


DEMO: Final = make_script(
    rule(
        FIRST_PROMPT,
        [
            Think(0.2),
            _words("I will write a note and then list the directory. ", 0.03),
            _plan("in_progress", "pending"),
        ],
        [Think(0.2), CommandStep(("sh", "-c", f'echo "{NOTE_TEXT}" > {NOTE}'))],
        [Think(0.2), CommandStep(("sh", "-c", f"echo here too > ../{OUTSIDE}"))],
        [_plan("completed", "in_progress")],
        [Think(0.2), CommandStep(("ls", "-l"))],
        [_plan("completed", "completed")],
        [Think(0.2), _words(f"Done: the directory holds {NOTE}, written by the first of three commands.", 0.05)],
    ),
    rule(
        SECOND_PROMPT,
        [Think(0.2), CommandStep(("cat", NOTE))],
        [Think(0.2), Quote("The note says: ")],
    ),
    rule(
        THIRD_PROMPT,
        [Think(0.2), CommandStep(("ls", NOTE))],
        [Think(0.2), Quote("It is: ")],
    ),
    name="demo",
)

_PROSE: Final = """\
The function `parse_args` returns a tuple of "name" and value, and raises `ValueError` where neither is given. I would
rather keep the check in one place \u2013 the caller\u2019s \u2013 because two of the three callers repeat it:

    if not name:
        raise ValueError("a name is needed")

After that the tests in `tests/test_arguments.py` pass again, and the caf\u00e9 example prints what it should.
"""
PROSE: Final = tuple(re.findall(r"\s*\S{1,7}", _PROSE))
"""About as long as a model's tokens; some contain characters that JSON escapes, or non-ASCII characters."""
STREAM_SIZES: Final = (1_000, 5_000, 20_000, 100_000, 200_000)
THINKING: Final = 0.3


TRICKLE: Final = 400
TRICKLE_PAUSE: Final = 0.005


def bench_prompt(what: str) -> str:
    """Return the message that selects the rule `what` of the `bench` script."""
    return f"bench:{what};"


def _bench(what: str, *steps: list[ScriptedAction]) -> ScriptRule:
    return rule(bench_prompt(what), *steps)


COMMANDS: Final = 20
"""Steps of the turn that only runs commands."""

LOGIN_COMMANDS: Final = 5
"""Steps of the turn that only runs commands in a login shell."""

_LOGIN_COMMANDS: Final[list[list[ScriptedAction]]] = [[CommandStep(("bash", "-lc", "true"))]] * LOGIN_COMMANDS
PATCHED: Final = 20
"""Files that one patch creates and the next one deletes."""


def _patch(operation: str, body: str = "") -> ScriptedAction:
    sections = (f"*** {operation}: patched/{number}.txt\n{body}" for number in range(PATCHED))
    return PatchStep(f"*** Begin Patch\n{''.join(sections)}*** End Patch")


_NOTHING_BUT_COMMANDS: Final[list[list[ScriptedAction]]] = [[CommandStep(("true",))]] * COMMANDS

BENCH: Final = make_script(
    _bench("hello", [Text("ok")]),
    _bench("command", [Think(THINKING), CommandStep(("true",))], [Think(THINKING), Text("ok")]),
    _bench("commands", *_NOTHING_BUT_COMMANDS, [Text("ok")]),
    _bench("login commands", *_LOGIN_COMMANDS, [Text("ok")]),
    _bench("parent", [CommandStep(("sh", "-c", "echo parent=$PPID"))], [Text("ok")]),
    _bench("parent, then stall", [CommandStep(("sh", "-c", "echo parent=$PPID"))], [Text("hm"), Stall()]),
    _bench("patch", [_patch("Add File", "+Made by a patch.\n")], [_patch("Delete File")], [Text("ok")]),
    *(_bench(f"stream {count}", [Deltas(count, PROSE, whole="streamed")]) for count in STREAM_SIZES),
    _bench("trickle", [Text([PROSE[number % len(PROSE)] for number in range(TRICKLE)], TRICKLE_PAUSE)]),
    name="bench",
)
"""Rules that `bench_prompt` selects. The commands print the pid of the process that started them."""

ECHO: Final = make_script(
    rule("", [ReasoningStep("A script does not think."), Text("This answer comes from a script.")]), name="echo"
)
"""The same answer to every message."""

SCRIPTS: Final[Mapping[str, Script]] = MappingProxyType({found.name: found for found in (DEMO, BENCH, ECHO)})
