"""Makes docs/approvals.md from the tables of `greenroom.workers.approval`.

`make docs` writes the page. `python tools/docs/approvals.py --check` only tells whether it is up to date, by its exit
status.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, get_args

from generated import GeneratedPage

from greenroom.config.servers import ApprovalMode
from greenroom.protocol.mcp.toolset import APPROVAL_POLICIES, SANDBOX_MODES
from greenroom.workers.approval import decision
from greenroom.workers.approval.decision import Case, CommandFailure, Reach, Verdict
from greenroom.workers.approval.harmless_programs import ANY_ARGUMENTS, PROGRAMS
from greenroom.workers.approval.remote_tools import CALLS, ToolClass
from greenroom.workers.approval.safe_commands import SCRIPT_FLAGS, SHELLS

_VERDICTS: Final[dict[Verdict | None, str]] = {
    "run": "run",
    "sandboxed": "sandbox",
    "read-only": "read-only sandbox",
    "ask": "**ask**",
    "refuse": "refuse",
    None: "-",
}
_CASES: Final[dict[Case, str]] = {
    "harmless": "harmless",
    "harmless_confined": "harmless in a sandbox",
    "unknown": "unknown",
    "dangerous": "dangerous",
    "escalated": "wants out of the sandbox",
}
_REACHES: Final[dict[Reach, str]] = {
    "inside": "inside what may be written",
    "outside": "outside of it",
}

_TOOL_CLASSES: Final[dict[ToolClass, str]] = {
    "reading": "reads only",
    "bounded": "destroys nothing, closed world",
    "unknown": "nothing, or other",
    "destructive": "destroys",
}

PAGE: Final = Path(__file__).parents[2] / "docs" / "approvals.md"

_INTRODUCTION: Final = """\
# Approvals

What happens with a command or a patch of the model, by approval policy and sandbox. This page is made from the tables
in `workers/approval/` by `make docs`; a test fails when it is out of date.

* **run**: without the sandbox. **sandbox**: in it. **ask**: the user is asked, and what they approve runs without the
  sandbox. **refuse**: the model is told why, and nothing runs.
* Only the user lifts the sandbox: by `danger-full-access`, or by approving. No command is trusted for its name.
* A command that was approved for the session runs without the sandbox and without a question whenever its argv is the
  very same.
* Where the system cannot confine commands, what should run in the sandbox fails with an error that names what is
  missing.
"""

_AFTER_COMMANDS: Final = """\
What the model wants run outside the sandbox is asked for under `on-request` only. Under `untrusted` everything unknown
is asked for anyway, under `on-failure` the command is tried in the sandbox first, and under `never` it is refused, so
that the model knows at once. In `danger-full-access` there is nothing to get out of.
"""

_INPUT: Final = """\
A command can go on between the calls of the model, which may then write text to it. Text for a command in the sandbox
is written without a question: the sandbox bounds what comes of it. For a command that runs outside because the user let
it, and under `untrusted` for every command without a sandbox, the user is asked about each text. Ctrl-C is always sent.
"""

_PATCHES: Final = """\
Inside means: every path of the patch, both ends of a move, lies below a writable directory and is not protected there,
judged by its text from the working directory of the conversation. An empty patch is refused.
"""

_RETRIES: Final = """\
After a failure in the sandbox. **ask**: the user is asked whether to run it again without the sandbox; the consent is
for this once, unless it is given for the session, and nobody is asked twice in a turn about the same command in the
same directory. A command was denied, for this table, when it ended with a status other than 0, 126 and 127 and printed
what programs print when a system refuses them something (`Permission denied`, `Read-only file system`, `Operation not
permitted`, and without a network what they print then), or when the filter of system calls ended it. An ordinary exit
code is the command's own affair, and a harmless command needs nothing that the sandbox refuses.
"""

_CALLS: Final = """\
A call of a tool of an MCP server of the user's goes by what the server says of the tool in its annotations
(`readOnlyHint`, `destructiveHint`, `openWorldHint`), and by a mode: `mcp_servers.{server}.tools.{tool}.approval_mode`,
else `mcp_servers.{server}.default_tools_approval_mode`, else `auto`. A tool that is said to destroy counts as such even
where it is also said to only read, except in the mode `writes`. What is approved for the session is the tool, whatever
its arguments.

Under the policy `never` nobody is asked: with `danger-full-access` the tool is called, else the call is refused. The
sandbox does not bound what a server does.
"""

_HARMLESS: Final = """\
A command is harmless when it is one of these, by its name or in `/bin` or `/usr/bin`. So is a script of a shell
({shells}, with {flags}) that consists of nothing but harmless commands joined by `&&`, `||`, `;`, `|` and newlines.
What changes or hides words (variables, substitutions, redirections, braces, groups, assignments, comments) makes a
script unknown. What a program does not only read with, and every option that is not known to be harmless, makes a
command unknown; so do shortened names of options. `cargo check` is not on the list, because it runs the build
scripts of the project and of all that it
depends on.
"""

_DANGEROUS: Final = """\
Dangerous is `rm` with `-f` or `--force`, also behind `sudo` and `env` and in scripts. It is asked for only where no
sandbox bounds what it can delete and there is somebody to ask. It goes by the text alone, so it is a courtesy and no
protection.
"""


def page() -> str:
    """Return the whole page."""
    flags, shells = (", ".join(f"`{word}`" for word in sorted(words)) for words in (SCRIPT_FLAGS, SHELLS))
    sections = [
        _INTRODUCTION,
        "## Commands\n",
        _command_table(),
        _AFTER_COMMANDS,
        "## Text for running commands\n",
        _INPUT,
        "## Patches\n",
        _patch_table(),
        _PATCHES,
        "## Retries\n",
        _retry_table(),
        _RETRIES,
        "## Tools of MCP servers\n",
        _call_table(),
        _CALLS,
        "## Harmless commands\n",
        _HARMLESS.format(flags=flags, shells=shells),
        _harmless_table(),
        "## Dangerous commands\n",
        _DANGEROUS,
    ]
    return "\n".join(sections)


def _command_table() -> str:
    rows = (
        [f"`{policy}`", f"`{mode}`", *(_VERDICTS[decision.COMMANDS[policy, mode].get(case)] for case in _CASES)]
        for policy in APPROVAL_POLICIES
        for mode in SANDBOX_MODES
    )
    return _table(["approval policy", "sandbox", *_CASES.values()], rows)


def _patch_table() -> str:
    rows = (
        [f"`{policy}`", f"`{mode}`", *(_VERDICTS[decision.PATCHES[policy, mode].get(reach)] for reach in _REACHES)]
        for policy in APPROVAL_POLICIES
        for mode in SANDBOX_MODES
    )
    return _table(["approval policy", "sandbox", *_REACHES.values()], rows)


def _retry_table() -> str:
    failures: tuple[CommandFailure, ...] = get_args(CommandFailure)
    words = {"tell": "the model is told", "ask": "**ask**"}
    rows = (
        [f"`{policy}`", *(words[decision.RETRIES[policy][failure]] for failure in failures)]
        for policy in APPROVAL_POLICIES
    )
    return _table(["approval policy", *failures], rows)


def _call_table() -> str:
    modes: tuple[ApprovalMode, ...] = get_args(ApprovalMode)
    words = {"call": "call", "ask": "**ask**"}
    rows = ([f"`{mode}`", *(words[CALLS[mode][tool_class]] for tool_class in _TOOL_CLASSES)] for mode in modes)
    return _table(["mode", *_TOOL_CLASSES.values()], rows)


def _harmless_table() -> str:
    always = ", ".join(f"`{name}`" for name in sorted(ANY_ARGUMENTS))
    rows = [[always, "with any arguments"], *([f"`{name}`", found.rule] for name, found in sorted(PROGRAMS.items()))]
    return _table(["program", "harmless"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(GeneratedPage(PAGE).replace(page(), sys.argv[1:]))
