"""Decides whether a command or a patch may run: the rules, the user's answer, and remembered approvals."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from msgspec import UNSET

from greenroom.config.rules.rules import NO_RULES, Rules
from greenroom.protocol.approval import VERDICTS, AnyQuestion, CommandQuestion, PatchQuestion
from greenroom.protocol.approval import Decision as Answer
from greenroom.protocol.events.command import ExecApprovalRequest
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.patch import ApplyPatchApprovalRequest
from greenroom.protocol.events.turn import BackgroundEvent, WarningEvent
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.protocol.quoting import shell_join
from greenroom.workers.approval.decision import (
    AskFirst,
    ExecutionDecision,
    Refuse,
    Run,
    RunReadOnly,
    RunSandboxed,
    SandboxedEnd,
    Situation,
    decide_command,
    decide_input,
    decide_patch,
    decide_retry,
    sandbox_failure,
)
from greenroom.workers.approval.memory import ApprovedCommands
from greenroom.workers.approval.ruling import apply_ruling, proposed_rule, ruling_on
from greenroom.workers.approval.safe_commands import classify
from greenroom.workers.clock import now_ms
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.exec.process import Finished
from greenroom.workers.exec.summary import summarize
from greenroom.workers.patch.plan import PatchPlan
from greenroom.workers.sandbox.policy import Confinement
from greenroom.workers.tools.types import Ask, CommandFacts, Emit, ExecutionMode, ToolFailure

_LOOKED_AT: Final = OutputBudget(16_384)
"""How much of the end of an output is searched for signs of a denial by the sandbox."""


_MODES: Final[Mapping[type[Run | RunSandboxed | RunReadOnly], ExecutionMode]] = {
    Run: "free",
    RunSandboxed: "sandboxed",
    RunReadOnly: "read_only",
}


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
        rules: Rules = NO_RULES,
        keep_rule: Callable[[Sequence[str]], None] | None = lambda _: None,
    ) -> None:
        """`approved` are the user's approvals so far; none if it is `None`. `rules` are the user's about commands.

        `can_confine` tells whether this system can confine commands; called only if the answer matters. `keep_rule`
        saves a rule that allows commands with a certain beginning, and raises `OSError`; where it is `None` none can be
        saved, and none is proposed.
        """
        self._policy: ApprovalPolicy = policy
        self._mode: SandboxMode = mode
        self._confinement = confinement
        self._ask = ask
        self._emit = emit
        self._approved = ApprovedCommands() if approved is None else approved
        self._can_confine = can_confine
        self._given_rules = rules
        self._keep_rule = keep_rule
        self._retries: dict[tuple[str, ...], bool] = {}
        """The user's answers in this turn to retries without the sandbox, by turn, directory and argv."""

    @property
    def _rules(self) -> Rules:
        """The rules of the settings, and those that the user has made since."""
        return self._given_rules.allowing(self._approved.prefixes)

    async def admit_command(self, facts: CommandFacts, *, escalated: bool, justification: str | None) -> ExecutionMode:
        """Return how a command is to run. Raises `ToolFailure` if it must not."""
        argv = facts.command
        command = classify(argv)
        situation = Situation(
            policy=self._policy,
            mode=self._mode,
            command=command,
            escalated=escalated,
            remembered=self._approved.knows(argv),
            can_confine=command != "harmless_confined" or self._can_confine(),
        )
        decision = apply_ruling(
            ruling_on(self._rules, argv),
            decide_command(situation, justification),
            self._policy,
            confirmed=self._approved.confirmed(argv),
        )
        return await self._settle(decision, lambda ask: self._ask_command(facts, ask, may_rule=True))

    async def admit_retry(self, facts: CommandFacts, finished: Finished, told: str) -> bool:
        """Tell whether a command that has ended in the sandbox is to run again without it. `told` is how it ended.

        The user is asked only if the sandbox seems to have denied something to a command that is not harmless, and once
        per turn for the same command in the same directory.
        """
        failure = sandbox_failure(self._ending(finished))
        if failure is None or classify(facts.command).startswith("harmless"):
            return False
        ask = decide_retry(self._policy, failure)
        if ask is None:
            return False
        same = (facts.turn_id, facts.cwd, *facts.command)
        if (said := self._retries.get(same)) is not None:
            return said
        await self._emit_and_wait(BackgroundEvent(f"Execution failed: {told}"))
        said = (await self._ask_command(facts, ask, told, may_rule=True)).verdict.startswith("approved")
        self._retries = {key: value for key, value in self._retries.items() if key[0] == same[0]} | {same: said}
        return said

    def _ending(self, finished: Finished) -> SandboxedEnd:
        return SandboxedEnd(
            exit_code=finished.exit_code,
            signal=finished.signal,
            timed_out=finished.timed_out,
            output=finished.aggregated.render(_LOOKED_AT),
            network=self._confinement is None or self._confinement.network,
        )

    async def admit_input(self, facts: CommandFacts, way: ExecutionMode) -> None:
        """Return if text may be written to a running command. Raises `ToolFailure`. `facts` are of this call."""
        decision = decide_input(
            self._policy, self._mode, confined=way != "free", remembered=self._approved.knows(facts.command)
        )
        await self._settle(decision, lambda ask: self._ask_command(facts, ask))

    async def admit_patch(self, call_id: str, turn_id: str, plan: PatchPlan) -> tuple[ExecutionMode, bool]:
        """Return how a patch is to be applied, and whether the user was asked. Raises `ToolFailure`."""
        decision = decide_patch(self._policy, self._mode, plan.targets, self._confinement)
        way = await self._settle(decision, lambda ask: self._ask_patch(call_id, turn_id, plan, ask))
        return way, isinstance(decision, AskFirst)

    async def _settle(self, decision: ExecutionDecision, ask: Callable[[AskFirst], Awaitable[Answer]]) -> ExecutionMode:
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
                    return _MODES[type(decision.approved)]
                raise ToolFailure(decision.denied if answer.reason is None else f"{decision.denied}: {answer.reason}")

    async def _ask_command(
        self, facts: CommandFacts, ask: AskFirst, sandbox_failure: str | None = None, *, may_rule: bool = False
    ) -> Answer:
        """Ask the user. `may_rule`: the answer may be a rule, where the command would leave the sandbox anyway."""
        is_free = isinstance(ask.approved, Run)
        may_rule = may_rule and is_free and self._keep_rule is not None and classify(facts.command) != "dangerous"
        proposed = proposed_rule(self._rules, facts.command) if may_rule else None
        command, parts = list(facts.command), summarize(facts.command)
        event = ExecApprovalRequest(
            turn_id=facts.turn_id,
            started_at_ms=now_ms(),
            kind="command",
            call_id=facts.call_id,
            command=command,
            cwd=facts.cwd,
            parsed_cmd=parts,
            available_decisions=list(VERDICTS),
            reason=UNSET if ask.reason is None else ask.reason,
        )
        question = CommandQuestion(
            call_id=facts.call_id,
            command=command,
            shell_text=shell_join(facts.command),
            cwd=facts.cwd,
            parts=parts,
            reason=ask.reason,
            sandbox_failure=sandbox_failure,
            confined=not is_free,
            proposed_rule=None if proposed is None else list(proposed),
        )
        answer = await self._put(event, question)
        if answer.verdict == "approved_for_session":
            if is_free:
                self._approved.remember(facts.command)
            else:
                self._approved.confirm(facts.command)
        elif answer.verdict == "approved" and answer.rule:
            await self._add_rule(answer.rule, proposed or ())
        return answer

    async def _add_rule(self, rule: Sequence[str], proposed: Sequence[str]) -> None:
        """Allow commands with a certain beginning from now on, as the user wants: that proposed, or a part of it."""
        if self._keep_rule is None or tuple(proposed[: len(rule)]) != tuple(rule):
            await self._emit_and_wait(WarningEvent("The rule was not made: it was not proposed."))
            return
        self._approved.allow(rule)
        try:
            self._keep_rule(rule)
        except OSError as error:
            text = f"The rule holds for this conversation only: it cannot be saved ({error.strerror or error})."
            await self._emit_and_wait(WarningEvent(text))

    async def _ask_patch(self, call_id: str, turn_id: str, plan: PatchPlan, ask: AskFirst) -> Answer:
        changes = dict(plan.changes)
        event = ApplyPatchApprovalRequest(
            turn_id=turn_id,
            started_at_ms=now_ms(),
            call_id=call_id,
            changes=changes,
            reason=UNSET if ask.reason is None else ask.reason,
        )
        question = PatchQuestion(call_id=call_id, changes=changes, reason=ask.reason)
        return await self._put(event, question)

    async def _put(self, event: Event, question: AnyQuestion) -> Answer:
        """Ask the user. An answer that aborts stops the whole turn."""
        await self._emit_and_wait(event)
        answer = await self._ask(question)
        if answer.verdict == "abort":
            raise asyncio.CancelledError("the user stopped the turn")
        return answer

    async def _emit_and_wait(self, event: Event) -> None:
        waiting = self._emit(event)
        if waiting is not None:
            await waiting
