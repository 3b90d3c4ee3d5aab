"""The tool `apply_patch`: matches a patch with the files, has it approved if necessary, applies all of it or
nothing."""

import asyncio

from greenroom.protocol.events.patch import PatchApplyBegin, PatchApplyEnd, TurnDiff
from greenroom.workers.patch import apply as application
from greenroom.workers.patch.disk import Allowed, Disk
from greenroom.workers.patch.errors import PatchError
from greenroom.workers.patch.language import parse_patch
from greenroom.workers.patch.plan import PatchPlan, plan_patch
from greenroom.workers.tools.context import ToolContext, ToolOutput, emit
from greenroom.workers.tools.patch_text import read_patch, unwrapped
from greenroom.workers.tools.types import ToolFailure


async def apply_patch(call_id: str, arguments: str, context: ToolContext) -> ToolOutput:
    """Handle one call of the function. Raises `ToolFailure` if nothing was changed."""
    patch = read_patch(arguments)
    return await apply_patch_text(call_id, patch.body, patch.cwd(context.cwd), context)


async def apply_freeform(call_id: str, text: str, context: ToolContext) -> ToolOutput:
    """Handle one call of the custom tool, whose input is the patch itself."""
    return await apply_patch_text(call_id, unwrapped(text), context.cwd, context)


async def apply_patch_text(call_id: str, text: str, cwd: str, context: ToolContext) -> ToolOutput:
    """Apply a patch whose paths are relative to `cwd`."""
    disk = Disk(context.reader)
    try:
        plan = await asyncio.to_thread(lambda: plan_patch(parse_patch(text), cwd, disk))
    except PatchError as error:
        raise ToolFailure(f"apply_patch verification failed: {error}") from error
    way, was_asked = await context.gate.admit_patch(call_id, context.turn_id, plan)
    allowed = context.may_write if way == "sandboxed" else None
    changes = dict(plan.changes)
    await emit(context, PatchApplyBegin(call_id, context.turn_id, not was_asked, changes))
    output, stderr = await asyncio.to_thread(_carry_out, plan, disk, allowed, context)
    ended = PatchApplyEnd(
        call_id=call_id,
        turn_id=context.turn_id,
        changes=changes,
        success=not stderr,
        stdout=output,
        stderr=stderr,
        status="failed" if stderr else "completed",
    )
    await emit(context, ended)
    await emit_diff(context)
    return ToolOutput(stderr or output, success=not stderr)


async def emit_diff(context: ToolContext, *, only_news: bool = False) -> None:
    """Report the net diff of the turn's patches; an empty diff withdraws an earlier one."""
    before = context.diff.last
    diff = await asyncio.to_thread(context.diff.render)
    if diff != before or (diff is not None and not only_news):
        await emit(context, TurnDiff(diff or ""))


def _carry_out(plan: PatchPlan, disk: Disk, allowed: Allowed | None, context: ToolContext) -> tuple[str, str]:
    """Return the texts for success and for failure; one of them is empty."""
    context.diff.begin(plan)
    try:
        return application.apply_plan(plan, disk, allowed, context.journal), ""
    except PatchError as error:
        return "", error.printed
