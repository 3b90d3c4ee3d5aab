"""Decides whether a command or a patch may run: the rules, the user's answer, and remembered approvals."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from greenroom.protocol.approval import VERDICTS, AnyQuestion, CommandQuestion, PatchQuestion
from greenroom.protocol.approval import Decision as Answer
from greenroom.protocol.items import JsonObject
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.workers.approval.decision import (
    AskFirst,
    Decision,
    Ending,
    Refuse,
    Run,
    RunReadOnly,
    RunSandboxed,
    Situation,
    decide,
    decide_input,
    decide_patch,
    decide_retry,
    sandbox_failure,
)
from greenroom.workers.approval.memory import ApprovedCommands
from greenroom.workers.approval.safe_commands import classify
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.exec.process import Finished
from greenroom.workers.exec.quoting import join
from greenroom.workers.exec.summary import summarize
from greenroom.workers.patch.plan import PatchPlan
from greenroom.workers.sandbox.policy import Confinement
from greenroom.workers.tools.types import Ask, Emit, ExecutionMode, ToolFailure

_LOOKED_AT: Final = OutputBudget(16_384)
"""How much of the end of an output is searched for signs of a denial by the sandbox."""


class ApprovalGate:
    """One conversation's rules, and the user's answers so far."""

    def __init__(
        self,
        policy: ApprovalPolicy,
        mode: SandboxMode,
        confinement: Confinement | None,
        ask: Ask,
        emit: Emit,
        approved: ApprovedCommands | None = None,
        can_confine: Callable[[], bool] = lambda: True,
    ) -> None:
        """`approved` are the user's approvals so far; none if it is `None`.

        `can_confine` tells whether this system can confine commands; called only if the answer matters.
        """
        self._policy: ApprovalPolicy = policy
        self._mode: SandboxMode = mode
        self._confinement = confinement
        self._ask = ask
        self._emit = emit
        self._approved = ApprovedCommands() if approved is None else approved
        self._can_confine = can_confine
        self._retries: dict[tuple[str, ...], bool] = {}
        """The user's answers in this turn to retries without the sandbox, by turn, directory and argv."""

    async def admit_command(
        self, facts: Mapping[str, object], argv: Sequence[str], *, escalated: bool, justification: str | None
    ) -> ExecutionMode:
        """Return how a command is to run. Raises `ToolFailure` if it must not. `facts` are the first members of its
        events."""
        command = classify(argv)
        situation = Situation(
            policy=self._policy,
            mode=self._mode,
            command=command,
            escalated=escalated,
            remembered=self._approved.knows(argv),
            can_confine=command != "harmless_confined" or self._can_confine(),
        )
        return await self._settle(decide(situation, justification), lambda ask: self._ask_command(facts, argv, ask))

    async def admit_retry(
        self, facts: Mapping[str, object], argv: Sequence[str], finished: Finished, told: str
    ) -> bool:
        """Tell whether a command that has ended in the sandbox is to run again without it. `told` is how it ended.

        The user is asked only if the sandbox seems to have denied something to a command that is not harmless, and once
        per turn for the same command in the same directory.
        """
        failure = sandbox_failure(self._ending(finished))
        ask = None if failure is None or classify(argv).startswith("harmless") else decide_retry(self._policy, failure)
        if ask is None:
            return False
        same = (str(facts.get("turn_id")), str(facts["cwd"]), *argv)
        if (said := self._retries.get(same)) is not None:
            return said
        await self._tell({"type": "background_event", "message": f"Execution failed: {told}"})
        said = (await self._ask_command(facts, argv, ask, told)).verdict.startswith("approved")
        self._retries = {key: value for key, value in self._retries.items() if key[0] == same[0]} | {same: said}
        return said

    def _ending(self, finished: Finished) -> Ending:
        return Ending(
            exit_code=finished.exit_code,
            signal=finished.signal,
            timed_out=finished.timed_out,
            output=finished.aggregated.render(_LOOKED_AT),
            network=self._confinement is None or self._confinement.network,
        )

    async def admit_input(self, facts: Mapping[str, object], text: str, way: ExecutionMode) -> None:
        """Return if text may be written to a running command. Raises `ToolFailure`. `facts` are of this call."""
        argv = ("write_stdin", text)
        decision = decide_input(self._policy, self._mode, confined=way != "free", remembered=self._approved.knows(argv))
        await self._settle(decision, lambda ask: self._ask_command(facts, argv, ask))

    async def admit_patch(self, call_id: str, turn_id: str, plan: PatchPlan) -> tuple[ExecutionMode, bool]:
        """Return how a patch is to be applied, and whether the user was asked. Raises `ToolFailure`."""
        decision = decide_patch(self._policy, self._mode, plan.targets, self._confinement)
        way = await self._settle(decision, lambda ask: self._ask_patch(call_id, turn_id, plan, ask))
        return way, isinstance(decision, AskFirst)

    async def _settle(self, decision: Decision, ask: Callable[[AskFirst], Awaitable[Answer]]) -> ExecutionMode:
        match decision:
            case Run():
                return "free"
            case RunSandboxed():
                return "sandboxed"
            case RunReadOnly():
                return "read_only"
            case Refuse(text):
                raise ToolFailure(text)
            case AskFirst():
                answer = await ask(decision)
                if answer.verdict.startswith("approved"):
                    return "free" if isinstance(decision.approved, Run) else "sandboxed"
                raise ToolFailure(decision.denied if answer.reason is None else f"{decision.denied}: {answer.reason}")

    async def _ask_command(
        self, facts: Mapping[str, object], argv: Sequence[str], ask: AskFirst, sandbox_failure: str | None = None
    ) -> Answer:
        summary = summarize(argv)
        event: JsonObject = {
            "type": "exec_approval_request",
            "kind": "command",
            **facts,
            "parsed_cmd": summary,
            "available_decisions": list(VERDICTS),
        }
        question = CommandQuestion(
            call_id=str(facts["call_id"]),
            command=list(argv),
            shell_text=join(argv),
            cwd=str(facts["cwd"]),
            parts=summary,
            reason=ask.reason,
            sandbox_failure=sandbox_failure,
        )
        answer = await self._put(event, ask, question)
        if answer.verdict == "approved_for_session":
            self._approved.remember(argv)
        return answer

    async def _ask_patch(self, call_id: str, turn_id: str, plan: PatchPlan, ask: AskFirst) -> Answer:
        changes = dict(plan.changes)
        event: JsonObject = {
            "type": "apply_patch_approval_request",
            "call_id": call_id,
            "turn_id": turn_id,
            "changes": changes,
        }
        question = PatchQuestion(call_id=call_id, changes=changes, reason=ask.reason)
        return await self._put(event, ask, question)

    async def _put(self, event: JsonObject, ask: AskFirst, question: AnyQuestion) -> Answer:
        """Ask the user. An answer that aborts stops the whole turn."""
        await self._tell(event if ask.reason is None else {**event, "reason": ask.reason})
        answer = await self._ask(question)
        if answer.verdict == "abort":
            raise asyncio.CancelledError("the user stopped the turn")
        return answer

    async def _tell(self, event: JsonObject) -> None:
        waiting = self._emit(event)
        if waiting is not None:
            await waiting
