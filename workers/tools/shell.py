"""The tool `shell`: runs a command, tells the client as it runs and the model when it has ended (spec/agent-core 4.3).

Unlike the reference, the model gets both streams as they were interleaved whatever the exit code (quirk Q31), and what
a command wrote before it was killed.
"""

import asyncio
import base64
import os
from typing import Annotated, Final

import msgspec

from workers.approval.decision import sandbox_failure
from workers.commands.capture import Budget, cut
from workers.commands.command import CAPTURE_SIZE, Command
from workers.commands.pipes import StreamName
from workers.commands.process import Finished, run, signal_name
from workers.commands.summary import summarize
from workers.model.items import JsonObject
from workers.patch.interception import PatchCall, Refused, recognise
from workers.sandbox.features import SandboxUnavailableError
from workers.tools.apply_patch import apply
from workers.tools.arguments import parse
from workers.tools.context import ToolContext, ToolFailure, ToolOutput, emit
from workers.tools.gate import Way

DEFAULT_TIMEOUT_MS: Final = 10_000
NO_EXIT_CODE: Final = -1
_EVENT_BUDGET: Final = Budget(CAPTURE_SIZE)

_Milliseconds = Annotated[float, msgspec.Meta(ge=0)]


class ShellArguments(msgspec.Struct, frozen=True):
    """What the model may give. A plain text counts as shell text; unknown members are ignored."""

    command: list[str] | str
    workdir: str | None = None
    timeout_ms: _Milliseconds | None = None
    timeout: _Milliseconds | None = None
    with_escalated_permissions: bool | None = None
    sandbox_permissions: str | None = None
    justification: str | None = None

    @property
    def wants_out(self) -> bool:
        """Whether the model asks to run it outside the sandbox, in the words of either generation."""
        return bool(self.with_escalated_permissions) or self.sandbox_permissions == "require_escalated"

    @property
    def argv(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return ("bash", "-lc", self.command) if isinstance(self.command, str) else tuple(self.command)

    @property
    def limit_ms(self) -> int:
        """Milliseconds that the command may take, at least one; who says zero means no limit of their own."""
        return max(1, round(self.timeout_ms or self.timeout or DEFAULT_TIMEOUT_MS))


async def shell(call_id: str, arguments: str, context: ToolContext) -> ToolOutput:
    """Handle one call. Raises `ToolFailure` where nothing was run, and then no begin event was emitted either."""
    given = parse(arguments, ShellArguments)
    base = os.path.normpath(os.path.join(context.cwd, given.workdir or ""))
    match recognise(given.argv):
        case PatchCall() as patch:
            return await apply(call_id, patch.body, patch.cwd(base), context)
        case Refused(reason):
            raise ToolFailure(reason)
    call = _Call(call_id, given, base, context)
    way = await context.gate.admit_command(
        call.request_facts, given.argv, escalated=given.wants_out, justification=given.justification
    )
    output, finished = await call.run(way)
    failure = None if way == "free" else sandbox_failure(finished.exit_code, timed_out=finished.timed_out)
    if failure is not None and finished.spawn_error is None:
        facts = call.request_facts
        if await context.gate.admit_retry(facts, given.argv, failure, call.ending(finished)):
            await emit(context, {"type": "background_event", "message": "retrying command without sandbox"})
            output, _ = await call.run("free")
    return output


class _Call:
    """One command on its way from the model to the client and back."""

    def __init__(self, call_id: str, given: ShellArguments, cwd: str, context: ToolContext) -> None:
        self._call_id = call_id
        self._context = context
        self._limit_ms = given.limit_ms
        self.command = Command(
            given.argv,
            cwd,
            context.environment,
            timeout=given.limit_ms / 1000,
            capture_size=max(CAPTURE_SIZE, context.budget.size),
        )
        self._facts: JsonObject = {
            "call_id": call_id,
            "turn_id": context.turn_id,
            "command": list(given.argv),
            "cwd": self.command.cwd,
            "parsed_cmd": summarize(given.argv),
        }
        self.request_facts: JsonObject = {name: self._facts[name] for name in ("call_id", "turn_id", "command", "cwd")}

    async def run(self, way: Way) -> tuple[ToolOutput, Finished]:
        """Run it once, with its events."""
        starter = self._context.free if way == "free" else self._context.sandboxed
        await emit(self._context, self.begin_event())
        try:
            finished = await run(self.command, self.relay, starter)
        except SandboxUnavailableError as error:
            await emit(self._context, self._end(NO_EXIT_CODE, "", str(error), "", str(error), 0))
            raise ToolFailure(f"exec command rejected: {error}; it was not run") from error
        except asyncio.CancelledError:
            await emit(self._context, self.aborted_event())
            raise
        output = self.output(finished)
        await emit(self._context, self.end_event(finished, output))
        return output, finished

    # What the client is told

    def begin_event(self) -> JsonObject:
        return {"type": "exec_command_begin", **self._facts}

    async def relay(self, name: StreamName, chunk: bytes) -> None:
        delta: JsonObject = {
            "type": "exec_command_output_delta",
            "call_id": self._call_id,
            "stream": name,
            "chunk": base64.b64encode(chunk).decode(),
        }
        await emit(self._context, delta)

    def end_event(self, finished: Finished, output: ToolOutput) -> JsonObject:
        fault = self._fault(finished)
        stderr = finished.stderr.render(_EVENT_BUDGET)
        return self._end(
            exit_code=NO_EXIT_CODE if finished.exit_code is None else finished.exit_code,
            stdout=finished.stdout.render(_EVENT_BUDGET),
            stderr=stderr if fault is None else _paragraphs(stderr, fault),
            aggregated_output=finished.aggregated.render(_EVENT_BUDGET),
            formatted_output=self._shown(finished) if fault is None else output.text,
            duration=finished.duration,
        )

    def aborted_event(self) -> JsonObject:
        """Say that the turn was stopped while the command ran."""
        return self._end(NO_EXIT_CODE, "", "aborted by user", "", "aborted by user", 0)

    def _end(
        self, exit_code: int, stdout: str, stderr: str, aggregated_output: str, formatted_output: str, duration: float
    ) -> JsonObject:
        seconds, rest = divmod(round(duration * 1_000_000_000), 1_000_000_000)
        return {
            "type": "exec_command_end",
            **self._facts,
            "stdout": stdout,
            "stderr": stderr,
            "aggregated_output": aggregated_output,
            "exit_code": exit_code,
            "duration": {"secs": seconds, "nanos": rest},
            "formatted_output": formatted_output,
            "status": "completed" if exit_code == 0 else "failed",
        }

    # What the model is told

    def output(self, finished: Finished) -> ToolOutput:
        shown = self._shown(finished)
        if fault := self._fault(finished):
            return ToolOutput(_paragraphs(fault, shown), success=False)
        metadata = {"exit_code": finished.exit_code, "duration_seconds": round(finished.duration, 1)}
        text = msgspec.json.encode({"output": shown, "metadata": metadata}).decode()
        return ToolOutput(text, success=finished.exit_code == 0)

    def _shown(self, finished: Finished) -> str:
        return finished.aggregated.render_for_model(self._context.budget)

    def ending(self, finished: Finished) -> str:
        """Say in a few words how the command ended."""
        return self._fault(finished) or f"exit code {finished.exit_code}"

    def _fault(self, finished: Finished) -> str | None:
        """Say why there is no exit code."""
        if finished.spawn_error is not None:
            return cut(f"execution error: {finished.spawn_error}", self._context.budget)
        if finished.timed_out:
            return f"command timed out after {self._limit_ms} milliseconds"
        if finished.signal is not None:
            return f"execution error: command was killed by {signal_name(finished.signal)}"
        return None


def _paragraphs(*texts: str) -> str:
    return "\n".join(text for text in texts if text)
