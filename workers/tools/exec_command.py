"""The tool `exec_command`: runs a shell script and answers when it has ended or some time has passed.

A command that has not ended by then keeps running under a number, with which `write_stdin` reads its output, writes to
it or stops it.
"""

import asyncio
import os
import shlex
import time
from typing import Annotated, Final

import msgspec

from greenroom.protocol.events.turn import BackgroundEvent
from greenroom.workers.exec.command import CAPTURE_SIZE, CommandSpec
from greenroom.workers.patch.interception import PatchCall, PatchRefused, recognise
from greenroom.workers.tools.apply_patch import apply_patch_text
from greenroom.workers.tools.arguments import parse_arguments
from greenroom.workers.tools.background_commands import NumberedCommand, shell_exit_code
from greenroom.workers.tools.command_events import CommandEvents
from greenroom.workers.tools.command_line import WORKDIR_NAMES, argv_or_script
from greenroom.workers.tools.context import ToolContext, ToolOutput, emit
from greenroom.workers.tools.terminal_output import read_output
from greenroom.workers.tools.types import CommandFacts, ExecutionMode, ToolFailure

DEFAULT_YIELD_MS: Final = 10_000
SHORTEST_YIELD_MS: Final = 250
LONGEST_YIELD_MS: Final = 30_000

NO_LOGIN: Final = "login shell is disabled by config; omit `login` or set it to false."

_ALIASES: Final = {**WORKDIR_NAMES, "command": "cmd", "script": "cmd"}

_NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class ExecArguments(msgspec.Struct, frozen=True):
    """The model's arguments. Unknown members are ignored."""

    cmd: list[str] | str
    workdir: str | None = None
    shell: str | None = None
    login: bool | None = None
    tty: bool | None = None
    yield_time_ms: _NotNegative | None = None
    max_output_tokens: _NotNegative | None = None
    sandbox_permissions: str | None = None
    with_escalated_permissions: bool | None = None
    justification: str | None = None

    @property
    def wants_out(self) -> bool:
        """Whether the model requests to run it outside the sandbox, in the form of either generation."""
        return bool(self.with_escalated_permissions) or self.sandbox_permissions == "require_escalated"

    @property
    def timeout_s(self) -> float:
        """Seconds after which the model gets an answer in any case."""
        wanted = DEFAULT_YIELD_MS if self.yield_time_ms is None else self.yield_time_ms
        return min(max(wanted, SHORTEST_YIELD_MS), LONGEST_YIELD_MS) / 1000

    def script(self, base: str) -> str:
        """Return the shell script, even if the model gave a list of words. Raises `ToolFailure`."""
        match argv_or_script(self.cmd, (), base):
            case str(script) | (_, "-c" | "-lc", script):
                return script
            case words:
                return shlex.join(words)

    def argv(self, context: ToolContext, base: str) -> tuple[str, str, str]:
        """Return the shell with its flag and the script. Raises `ToolFailure`."""
        if self.login and not context.shell.may_login:
            raise ToolFailure(NO_LOGIN)
        login = context.shell.may_login if self.login is None else self.login
        return (self.shell or context.shell.program, "-lc" if login else "-c", self.script(base))


async def exec_command(call_id: str, arguments: str, context: ToolContext) -> ToolOutput:
    """Handle one call. Raises `ToolFailure` if nothing was run."""
    given = parse_arguments(arguments, ExecArguments, _ALIASES)
    base = os.path.normpath(os.path.join(context.cwd, given.workdir or ""))
    argv = given.argv(context, base)
    match recognise(argv):
        case PatchCall() as patch:
            return await apply_patch_text(call_id, patch.body, patch.cwd(base), context)
        case PatchRefused(reason):
            raise ToolFailure(reason)
    call = _Call(call_id, given, argv, base, context)
    facts = call.facts
    way = await context.gate.admit_command(facts, escalated=given.wants_out, justification=given.justification)
    kept = await call.run(way)
    if way == "sandboxed" and kept.finished is not None:
        ending = f"exit code {shell_exit_code(kept.finished)}"
        if await context.gate.admit_retry(facts, kept.finished, ending):
            context.open_commands.forget(kept)
            await emit(context, BackgroundEvent("retrying command without sandbox"))
            kept = await call.run("free")
    return read_output(kept, call.started, given.max_output_tokens, context)


class _Call:
    """One call in progress."""

    def __init__(
        self, call_id: str, given: ExecArguments, argv: tuple[str, ...], cwd: str, context: ToolContext
    ) -> None:
        self._given = given
        self._context = context
        self._command = CommandSpec(
            argv,
            cwd,
            context.shell.environment,
            timeout=float("inf"),
            capture_size=max(CAPTURE_SIZE, context.budget.size),
            terminal=bool(given.tty),
        )
        self.facts = CommandFacts(call_id, context.turn_id, argv, cwd)
        self.started = 0.0

    async def run(self, way: ExecutionMode) -> NumberedCommand:
        """Start it and wait for its end as long as the model asks for. If the turn is stopped meanwhile, it is
        killed."""
        context = self._context
        number = context.open_commands.new_number()
        events = CommandEvents(self.facts, context.budget, source="unified_exec_startup", process_id=str(number))
        kept = NumberedCommand(number, self._command.argv, way, events)
        starter = context.starter(way)
        command = await context.logins.spare(self._command, starter, context.shell.fixed)
        await context.open_commands.open(kept, command, starter)
        self.started = time.monotonic()
        try:
            await kept.wait(self._given.timeout_s)
        except asyncio.CancelledError:
            await context.open_commands.end(kept)
            raise
        return kept
