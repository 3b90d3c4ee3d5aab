"""A command that the user runs in a conversation: with the user's own rights, and the model reads of it later."""

import asyncio
from typing import Final

from greenroom.protocol.errors import SandboxUnavailableError
from greenroom.protocol.internal.jobs import StreamName
from greenroom.workers.exec.command import CAPTURE_SIZE, CommandSpec
from greenroom.workers.exec.process import run_to_end
from greenroom.workers.tools.background_commands import shell_exit_code
from greenroom.workers.tools.command_events import CommandEvents
from greenroom.workers.tools.context import ToolContext, emit
from greenroom.workers.tools.types import CommandFacts

SOURCE: Final = "user_shell"
"""How events tell such a command from those of the agent."""
TIMEOUT_MS: Final = 3_600_000
"""Milliseconds that it may take by default."""
TIMED_OUT: Final = 124
"""The exit code of a command that took too long, as of timeout(1)."""


async def run_user_command(call_id: str, script: str, timeout_ms: int | None, context: ToolContext) -> str:
    """Run a shell script outside the sandbox, with its events, and return what the model is told of it."""
    argv = (context.shell.program, "-lc" if context.shell.may_login else "-c", script)
    events = CommandEvents(CommandFacts(call_id, context.turn_id, argv, context.cwd), context.budget, SOURCE)
    limit_ms = TIMEOUT_MS if timeout_ms is None else timeout_ms
    capture_size = max(CAPTURE_SIZE, context.budget.size)
    command = CommandSpec(argv, context.cwd, context.environment, limit_ms / 1000, capture_size)

    async def relay(name: StreamName, chunk: bytes) -> None:
        await emit(context, events.output(name, chunk))

    await emit(context, events.begin())
    try:
        command = await context.logins.spare(command, context.free)
        finished = await run_to_end(command, relay, context.free)
    except (asyncio.CancelledError, SandboxUnavailableError) as error:
        await emit(context, events.failed(str(error) or "aborted by user"))
        raise
    exit_code = TIMED_OUT if finished.timed_out else shell_exit_code(finished)
    output = finished.spawn_error or finished.aggregated.render_for_model(context.budget)
    fault = finished.spawn_error or ("command timed out" if finished.timed_out else None)
    await emit(context, events.end(finished, exit_code, output, fault))
    return told(script, exit_code, finished.duration, output)


def told(script: str, exit_code: int, duration: float, output: str) -> str:
    """Return the message with which the model is told of a command."""
    result = "\n".join((f"Exit code: {exit_code}", f"Duration: {duration:.4f} seconds", "Output:", output))
    return (
        f"<user_shell_command>\n<command>\n{script}\n</command>\n<result>\n{result}\n</result>\n</user_shell_command>"
    )
