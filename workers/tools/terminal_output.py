"""The output of a running command for the model: its state, and what it wrote since the last read."""

import secrets
import time

from greenroom.workers.exec.capture import BYTES_PER_TOKEN, OutputBudget
from greenroom.workers.tools.background_commands import NumberedCommand, shell_exit_code
from greenroom.workers.tools.context import ToolContext, ToolOutput


def read_output(kept: NumberedCommand, started: float, max_tokens: float | None, context: ToolContext) -> ToolOutput:
    """Read the command's output, and release its number if it has ended. `started`: since when the model waits."""
    output = kept.command.take_output()
    finished = kept.finished
    if finished is None:
        standing = f"Process running with session ID {kept.number}"
    else:
        standing = f"Process exited with code {shell_exit_code(finished)}"
        context.open_commands.forget(kept)
    lines = (
        f"Chunk ID: {secrets.token_hex(3)}",
        f"Wall time: {time.monotonic() - started:.4f} seconds",
        standing,
        f"Original token count: {-(-output.length // BYTES_PER_TOKEN)}",
        "Output:",
        output.render_for_model(_room(max_tokens, context.budget)),
    )
    return ToolOutput("\n".join(lines), success=finished is None or finished.exit_code == 0)


def _room(max_tokens: float | None, budget: OutputBudget) -> OutputBudget:
    size = budget.size if max_tokens is None else min(budget.size, round(max_tokens) * BYTES_PER_TOKEN)
    return OutputBudget(size, budget.unit)
