"""The tool `write_stdin`: writes to a running command, or only reads on, and returns its new output."""

import asyncio
import contextlib
import time
from typing import Annotated, Final

import msgspec

from greenroom.workers.tools.arguments import parse_arguments
from greenroom.workers.tools.background_commands import NumberedCommand
from greenroom.workers.tools.context import ToolContext, ToolOutput, emit
from greenroom.workers.tools.exec_command import LONGEST_YIELD_MS, SHORTEST_YIELD_MS
from greenroom.workers.tools.terminal_output import read_output
from greenroom.workers.tools.types import CommandFacts, ToolFailure

DEFAULT_YIELD_MS: Final = 250
SHORTEST_POLL_MS: Final = 5_000
"""Minimum wait of a call that writes nothing: asking more often brings nothing new and costs a request each time."""
CTRL_C: Final = "\x03"
CLOSED: Final = (
    "write_stdin failed: stdin is closed for this session; rerun exec_command with tty=true to keep stdin open"
)

_NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class WriteArguments(msgspec.Struct, frozen=True):
    """The model's arguments. Unknown members are ignored."""

    session_id: int
    chars: str | None = None
    yield_time_ms: _NotNegative | None = None
    max_output_tokens: _NotNegative | None = None

    def timeout_s(self, longest_poll_ms: int) -> float:
        """Return the seconds after which the model gets an answer in any case."""
        wanted = DEFAULT_YIELD_MS if self.yield_time_ms is None else self.yield_time_ms
        shortest, longest = (
            (SHORTEST_YIELD_MS, LONGEST_YIELD_MS)
            if self.chars
            else (SHORTEST_POLL_MS, max(SHORTEST_POLL_MS, longest_poll_ms))
        )
        return min(max(wanted, shortest), longest) / 1000


async def write_stdin(call_id: str, arguments: str, context: ToolContext) -> ToolOutput:
    """Handle one call. Raises `ToolFailure` if there is no such command, or nothing can be written to it."""
    given = parse_arguments(arguments, WriteArguments)
    kept = context.open_commands.find(given.session_id)
    if kept is None:
        raise ToolFailure(f"write_stdin failed: Unknown process id {given.session_id}")
    started = time.monotonic()
    timeout_s = given.timeout_s(context.shell.longest_poll_ms)
    if given.chars and not kept.over.is_set():
        await _admit(call_id, given.chars, kept, context)
    if given.chars or not kept.over.is_set():
        await emit(context, kept.events.interaction(given.chars or ""))
    if given.chars:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await _write(kept, given.chars)
    await kept.wait(max(0.0, started + timeout_s - time.monotonic()))
    return read_output(kept, started, given.max_output_tokens, context)


async def _admit(call_id: str, text: str, kept: NumberedCommand, context: ToolContext) -> None:
    if text == CTRL_C:
        return
    if not kept.command.has_terminal:
        raise ToolFailure(CLOSED)
    facts = CommandFacts(call_id, context.turn_id, ("write_stdin", text), kept.events.facts.cwd)
    await context.gate.admit_input(facts, kept.way)


async def _write(kept: NumberedCommand, text: str) -> None:
    if text == CTRL_C and not kept.command.has_terminal:
        kept.command.interrupt()
    else:
        await kept.command.type(text)
