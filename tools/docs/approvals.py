"""Generates docs/approvals.md from the tables of `greenroom.workers.approval`.

`make docs` writes the page. `python tools/docs/approvals.py --check` only checks whether it is up to date, by its exit
status.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, get_args

from generated import GeneratedPage

from greenroom.config.tables.servers import ApprovalMode
from greenroom.protocol.mcp.toolset import APPROVAL_POLICIES, SANDBOX_MODES
from greenroom.workers.approval import decision
from greenroom.workers.approval.decision import Case, CommandFailure, ExecutionVerdict, Reach
from greenroom.workers.approval.harmless_programs import ANY_ARGUMENTS, PROGRAMS
from greenroom.workers.approval.remote_tools import CALLS, ToolClass
from greenroom.workers.approval.safe_commands import SCRIPT_FLAGS, SHELLS

_VERDICTS: Final[dict[ExecutionVerdict | None, str]] = {
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
    "escalated": "outside the sandbox, by request",
}
_REACHES: Final[dict[Reach, str]] = {
    "inside": "inside writable directories",
    "outside": "outside",
}

_TOOL_CLASSES: Final[dict[ToolClass, str]] = {
    "reading": "read-only",
    "bounded": "not destructive, closed world",
    "unknown": "no annotations, or others",
    "destructive": "destructive",
}

PAGE: Final = Path(__file__).parents[2] / "docs" / "approvals.md"

_INTRODUCTION: Final = """\
# Approvals

What happens to a command or a patch of the model, by approval policy and sandbox mode. `make docs` generates this page
from the tables in `workers/approval/`, and a test fails when it is out of date.

* **run**: without the sandbox. **sandbox**: inside it. **ask**: the user is asked, and what they approve runs without
  the sandbox. **refuse**: nothing runs, and the model is told why.
* Only the user can lift the sandbox: by `danger-full-access`, by approving, or by a [rule](rules.md). No command is
  trusted because of its name.
* Rules of the user count before these tables: what one forbids is refused, what one wants asked is asked or, under
  `never`, refused, and what rules allow runs without the sandbox.
* A command that was approved for the session runs again without the sandbox and without asking if its argv is
  identical.
* If the system cannot confine commands, a command that should run in the sandbox fails with an error that says what is
  missing.
"""

_AFTER_COMMANDS: Final = """\
The model can request to run a command outside the sandbox. Under `on-request` the user is
asked. Under `untrusted` the user is asked about every unknown command anyway, under `on-failure` the command is tried
in the sandbox first, and under `never` it is refused, so that the model knows at once. In `danger-full-access` there is
no sandbox to leave.
"""

_INPUT: Final = """\
A command can keep running between calls of the model, and the model can write text to it. Text for
a sandboxed command is written without asking, because the sandbox limits its effect. The user is asked about each text
for a command that runs outside with their approval and, under `untrusted`, for every command without a sandbox. Under
`never` text for a command that a rule lets run outside is refused. Ctrl-C is always sent.
"""

_PATCHES: Final = """\
Inside means that every path of the patch, including both ends of a move, is below a writable
directory and not protected. Relative paths start at the conversation's working directory; links are not resolved for
this. An empty patch is refused.
"""

_RETRIES: Final = """\
This is about commands that failed in the sandbox. **ask**: the user is asked whether to run the
command again without the sandbox. The approval is for one run, unless it is given for the session, and the user is
asked only once per turn about the same command in the same directory. A command counts as denied if it exited with a
status other than 0, 126 and 127 and printed a typical message of a denied operation (`Permission denied`, `Read-only
file system`, `Operation not permitted`, or, without network access, the message of a network error), or if the system
call filter killed it. Other exit codes are not treated as denials, and neither are failures of harmless commands, which
need nothing that the sandbox denies.
"""

_CALLS: Final = """\
Whether a call of an MCP server's tool needs approval depends on the tool's annotations
(`readOnlyHint`, `destructiveHint`, `openWorldHint`) and on a mode: `mcp_servers.{server}.tools.{tool}.approval_mode`,
else `mcp_servers.{server}.default_tools_approval_mode`, else `auto`. A tool annotated as destructive counts as
destructive even if it is also annotated as read-only, except in the mode `writes`. Approval for the session applies to
the tool with any arguments.

Under the policy `never` the user is not asked: with `danger-full-access` the tool is called, otherwise the call is
refused. The sandbox does not restrict what a server does.
"""

_HARMLESS: Final = """\
A command is harmless if its program is in this table, given by bare name or in `/bin` or
`/usr/bin`, and used as the table says. A shell script ({shells}, with {flags}) is harmless if it consists only of
harmless commands joined by `&&`, `||`, `;`, `|` and newlines. Anything that changes or hides words (variables,
substitutions, redirections, braces, groups, assignments, comments) makes a script unknown. Options that can write,
options that are not known to be harmless, and abbreviated options make a command unknown. `cargo check` is not listed,
because it runs the build scripts of the project and of its dependencies.
"""

_DANGEROUS: Final = """\
`rm` with `-f` or `--force` is dangerous, also after `sudo` or `env` and in scripts. The user
is asked only if no sandbox limits what it can delete and the client can ask. The check looks only at the text of the
command, so it is a convenience, not a protection.
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
    rows = [
        [always, "with any arguments"],
        *([f"`{name}`", program.rule] for name, program in sorted(PROGRAMS.items())),
    ]
    return _table(["program", "harmless"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(GeneratedPage(PAGE).replace(page(), sys.argv[1:]))
