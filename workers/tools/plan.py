"""The tool `update_plan`: passes the model's plan on to the client."""

from typing import Final

import msgspec

from greenroom.protocol.events.tool import PlanStep, PlanUpdate
from greenroom.workers.tools.arguments import parse_arguments
from greenroom.workers.tools.catalog import PlanStepStatus
from greenroom.workers.tools.context import ToolContext, ToolOutput, emit

UPDATED: Final = "Plan updated"


class GivenStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a plan."""

    step: str
    status: PlanStepStatus


class PlanArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All steps, and why the plan changed."""

    plan: list[GivenStep]
    explanation: str | None = None

    def event(self) -> PlanUpdate:
        """The event that tells the client."""
        steps = [PlanStep(step.step, step.status) for step in self.plan]
        return PlanUpdate(explanation=self.explanation, plan=steps)


async def update_plan(_call_id: str, arguments: str, context: ToolContext) -> ToolOutput:
    """Handle one call. Raises `ToolFailure` if the arguments are invalid; then no event is sent."""
    await emit(context, parse_arguments(arguments, PlanArguments).event())
    return ToolOutput(UPDATED, success=True)
