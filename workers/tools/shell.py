"""The tool `shell`: runs a command, sends events while it runs, and answers when it has ended.

Unlike the reference, the model gets both streams interleaved whatever the exit code, and the output that a command
wrote before it was killed.
"""

import asyncio
import os
from typing import Annotated, Final

import msgspec

from greenroom.protocol.errors import SandboxUnavailableError
from greenroom.protocol.events.turn import BackgroundEvent
from greenroom.protocol.internal.jobs import StreamName
from greenroom.workers.exec.capture import cut
from greenroom.workers.exec.command import CAPTURE_SIZE, CommandSpec
from greenroom.workers.exec.process import Finished, run_to_end, signal_name
from greenroom.workers.patch.interception import PatchCall, PatchRefused, recognise
from greenroom.workers.tools.apply_patch import apply_patch_text
from greenroom.workers.tools.arguments import parse_arguments
from greenroom.workers.tools.command_events import NO_EXIT_CODE, CommandEvents, paragraphs
from greenroom.workers.tools.command_line import WORKDIR_NAMES, argv_or_script
from greenroom.workers.tools.context import ToolContext, ToolOutput, emit
from greenroom.workers.tools.types import CommandFacts, ExecutionMode, ToolFailure

DEFAULT_TIMEOUT_MS: Final = 10_000

_ALIASES: Final = {**WORKDIR_NAMES, "cmd": "command", "script": "command", "arguments": "args"}

_Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class ShellArguments(msgspec.Struct, frozen=True):
    """The model's arguments. A string counts as a shell script; unknown members are ignored."""

    command: list[str] | str
    args: list[str] | None = None
    workdir: str | None = None
    timeout_ms: _Milliseconds | None = None
    timeout: _Milliseconds | None = None
    with_escalated_permissions: bool | None = None
    sandbox_permissions: str | None = None
    justification: str | None = None

    @property
    def wants_out(self) -> bool:
        """Whether the model requests to run it outside the sandbox, in the form of either generation."""
        return bool(self.with_escalated_permissions) or self.sandbox_permissions == "require_escalated"

    def argv(self, base: str) -> tuple[str, ...]:
        """Return the program and its arguments, to run in the directory `base`. Raises `ToolFailure`."""
        found = argv_or_script(self.command, self.args or (), base)
        return ("bash", "-lc", found) if isinstance(found, str) else found

    @property
    def limit_ms(self) -> int:
        """Milliseconds that the command may take, at least one; zero stands for the default limit."""
        return max(1, round(self.timeout_ms or self.timeout or DEFAULT_TIMEOUT_MS))


async def shell(call_id: str, arguments: str, context: ToolContext) -> ToolOutput:
    """Handle one call. Raises `ToolFailure` if nothing was run, and then no begin event was emitted either."""
    given = parse_arguments(arguments, ShellArguments, _ALIASES)
    base = os.path.normpath(os.path.join(context.cwd, given.workdir or ""))
    argv = given.argv(base)
    match recognise(argv):
        case PatchCall() as patch:
            return await apply_patch_text(call_id, patch.body, patch.cwd(base), context)
        case PatchRefused(reason):
            raise ToolFailure(reason)
    call = _Call(call_id, argv, given.limit_ms, base, context)
    facts = call.events.facts
    way = await context.gate.admit_command(facts, escalated=given.wants_out, justification=given.justification)
    output, finished = await call.run(way)
    was_confined = way == "sandboxed" and finished.spawn_error is None
    if was_confined and await context.gate.admit_retry(facts, finished, call.ending(finished)):
        await emit(context, BackgroundEvent("retrying command without sandbox"))
        output, _ = await call.run("free")
    return output


class _Call:
    """One command in progress."""

    def __init__(self, call_id: str, argv: tuple[str, ...], limit_ms: int, cwd: str, context: ToolContext) -> None:
        self._context = context
        self._limit_ms = limit_ms
        self.command = CommandSpec(
            argv,
            cwd,
            context.environment,
            timeout=limit_ms / 1000,
            capture_size=max(CAPTURE_SIZE, context.budget.size),
        )
        self.events = CommandEvents(CommandFacts(call_id, context.turn_id, argv, cwd), context.budget)

    async def run(self, way: ExecutionMode) -> tuple[ToolOutput, Finished]:
        """Run it once, with its events."""
        starter = self._context.starter(way)
        await emit(self._context, self.events.begin())
        try:
            command = await self._context.logins.spare(self.command, starter)
            finished = await run_to_end(command, self._relay, starter)
        except SandboxUnavailableError as error:
            await emit(self._context, self.events.failed(str(error)))
            raise ToolFailure(f"exec command rejected: {error}; it was not run") from error
        except asyncio.CancelledError:
            await emit(self._context, self.events.failed("aborted by user"))
            raise
        output = self._output(finished)
        fault = self._fault(finished)
        exit_code = NO_EXIT_CODE if finished.exit_code is None else finished.exit_code
        formatted = self._shown(finished) if fault is None else output.text
        await emit(self._context, self.events.end(finished, exit_code, formatted, fault))
        return output, finished

    def ending(self, finished: Finished) -> str:
        """Describe briefly how the command ended."""
        return self._fault(finished) or f"exit code {finished.exit_code}"

    async def _relay(self, name: StreamName, chunk: bytes) -> None:
        await emit(self._context, self.events.output(name, chunk))

    def _output(self, finished: Finished) -> ToolOutput:
        shown = self._shown(finished)
        if fault := self._fault(finished):
            return ToolOutput(paragraphs(fault, shown), success=False)
        metadata = {"exit_code": finished.exit_code, "duration_seconds": round(finished.duration, 1)}
        text = msgspec.json.encode({"output": shown, "metadata": metadata}).decode()
        return ToolOutput(text, success=finished.exit_code == 0)

    def _shown(self, finished: Finished) -> str:
        return finished.aggregated.render_for_model(self._context.budget)

    def _fault(self, finished: Finished) -> str | None:
        """Describe why there is no exit code."""
        if finished.spawn_error is not None:
            return cut(f"execution error: {finished.spawn_error}", self._context.budget)
        if finished.timed_out:
            return f"command timed out after {self._limit_ms} milliseconds"
        if finished.signal is not None:
            return f"execution error: command was killed by {signal_name(finished.signal)}"
        return None
