"""The tools of one conversation: what they may do, where they run, and what they leave running.

It is imported when the first tool is called, unless the process that forked this one has done so: the first answer of a
fresh server need not wait for it.
"""

from collections.abc import Mapping
from functools import partial

import msgspec

from greenroom.config.reader import Reader
from greenroom.config.rules.rules import NO_RULES, Rules
from greenroom.config.tables.sandbox import ConfinementPolicy
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.policy import ApprovalPolicy
from greenroom.sessions.storage.cleanup_journal import CleanupJournal
from greenroom.workers.approval.memory import ApprovedCommands
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.exec.login_shells import LoginShells
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.patch.turn_diff import TurnDiffTracker
from greenroom.workers.sandbox.launcher import Launcher, ZygoteStanding
from greenroom.workers.sandbox.policy import Surroundings, confine, read_only
from greenroom.workers.sandbox.rules.features import probe
from greenroom.workers.sandbox.starter import FreeStarter, LaunchedStarter, ReadOnlyStarter
from greenroom.workers.timings import ToolTimer
from greenroom.workers.tools import registry
from greenroom.workers.tools.apply_patch import emit_diff
from greenroom.workers.tools.approval_gate import ApprovalGate
from greenroom.workers.tools.background_commands import BackgroundCommands
from greenroom.workers.tools.context import Shell, ToolContext
from greenroom.workers.tools.rule_file import keep_rule
from greenroom.workers.tools.types import ToolHost


class TurnRules(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tools work, and by which rules."""

    approval_policy: ApprovalPolicy
    sandbox_policy: ConfinementPolicy
    surroundings: Surroundings
    environment: Mapping[str, str]
    """That of commands, complete."""
    shell: Shell
    rules: Rules = NO_RULES
    """The user's rules for commands."""
    output_tokens: int
    """Bounds what the model gets of one output."""


class Toolbox:
    """Lives as long as the conversation has a process."""

    def __init__(
        self,
        workplace: TurnRules,
        logins: LoginShells,
        host: ToolHost,
        journal: CleanupJournal | None = None,
    ) -> None:
        self._host = host
        self._journal = journal
        self._logins = logins
        self._approved = ApprovedCommands()
        self.move(workplace)
        self.open_commands = BackgroundCommands(host.emit, host.commands_ended)
        """Those that go on between calls."""
        self._groups = ProcessGroups()
        self._launcher: Launcher | None = None
        self._free = FreeStarter(self._groups, self._present_launcher)

    def move(self, workplace: TurnRules) -> None:
        """Work elsewhere, or by other rules, from the next call on. What the user has approved stays approved."""
        policy, surroundings = workplace.sandbox_policy, workplace.surroundings
        confinement = confine(policy, surroundings)
        self._confinement = None if confinement is None else confinement.resolved()
        self._reader = Reader(surroundings.codex_home, surroundings.runtime_directory)
        self._gate = ApprovalGate(
            workplace.approval_policy,
            policy.type,
            self._confinement,
            self._host.ask,
            self._host.emit,
            self._approved,
            lambda: not probe().missing(),
            workplace.rules,
            partial(keep_rule, surroundings.codex_home) if self._host.keeps_rules else None,
        )
        self._read_only = ReadOnlyStarter(self._present_launcher, read_only(surroundings).resolved())
        self._cwd = surroundings.cwd
        self._environment = workplace.environment
        self._budget = OutputBudget.of_tokens(workplace.output_tokens)
        self._shell = workplace.shell
        self._confined = (
            None if self._confinement is None else LaunchedStarter(self._present_launcher, self._confinement)
        )
        self._context: ToolContext | None = None

    @property
    def sandbox_limits(self) -> tuple[str, ...]:
        """What the sandbox does not hold on this system, or holds at a price, as the first command in it has told."""
        return () if self._confined is None else self._confined.limits

    @property
    def zygote(self) -> ZygoteStanding | None:
        """How the process stands that starts commands, once there was one."""
        return None if self._launcher is None else self._launcher.zygote

    async def begin_turn(self) -> None:
        """Tell what has ended since the last turn among the commands that go on."""
        await self.open_commands.attend()

    def end_turn(self) -> None:
        """Let the commands that go on do so in silence."""
        self.open_commands.leave_alone()

    async def call(
        self, turn_id: TurnId, call: JsonObject, measured: ToolTimer | None = None
    ) -> str | list[JsonObject]:
        """Run one call of the model and return what it is told. `measured` is told what becomes of it."""
        context = self._context_of(turn_id)
        name, call_id = str(call["name"]), str(call["call_id"])
        if call["type"] == "custom_tool_call":
            output = await registry.call_custom(name, call_id, str(call["input"]), context)
        else:
            output = await registry.call(name, call_id, str(call["arguments"]), context)
        if measured is not None:
            measured.origin = "builtin" if registry.knows(call) else "unknown"
            measured.end = "ok" if output.success else "failed"
            measured.output_size = len(output.text)
        if context.diff.follows:
            await emit_diff(context, only_news=True)  # a command may have changed, or undone, what a patch did
        return output.output

    async def run_for_user(self, turn_id: TurnId, script: str, timeout_ms: int | None) -> str:
        """Run a command of the user, and return what the model is told of it."""
        from greenroom.workers.tools.user_command import run_user_command

        return await run_user_command(f"user_{turn_id}", script, timeout_ms, self._context_of(turn_id))

    async def emit_diff(self, turn_id: TurnId) -> None:
        """Tell what the patches of a turn have come to, if there were any."""
        context = self._context
        if context is not None and context.turn_id == turn_id and context.diff.follows:
            await emit_diff(context)

    def kill_all(self) -> None:
        """Kill whatever commands left running. Does not wait for it."""
        self._groups.kill_all()
        if self._launcher is not None:
            self._launcher.kill_all()

    async def close(self) -> None:
        """Kill whatever commands left running, and end what starts them."""
        self.kill_all()
        await self.open_commands.close()
        if self._launcher is not None:
            await self._launcher.close()

    def _context_of(self, turn_id: TurnId) -> ToolContext:
        if self._context is None or self._context.turn_id != turn_id:
            self._context = ToolContext(
                emit=self._host.emit,
                cwd=self._cwd,
                environment=self._environment,
                turn_id=turn_id,
                gate=self._gate,
                free=self._free,
                sandboxed=self._confined or self._free,
                read_only=self._read_only,
                reader=self._reader,
                may_write=self._may_write,
                shell=self._shell,
                logins=self._logins,
                open_commands=self.open_commands,
                diff=TurnDiffTracker(self._cwd, self._reader),
                budget=self._budget,
                journal=self._journal,
            )
        return self._context

    def _present_launcher(self) -> Launcher:
        if self._launcher is None:
            self._launcher = Launcher.attach(self._host.helper_lost)
        return self._launcher

    def _may_write(self, path: str) -> bool:
        return self._confinement is None or self._confinement.may_write(path)
