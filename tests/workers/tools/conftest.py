"""A conversation as seen by tools: its events, its user, and starters that record the execution mode of commands."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from greenroom.config.reader import Reader
from greenroom.config.rules.rules import NO_RULES, Rules
from greenroom.config.tables.sandbox import (
    ConfinementPolicy,
    DangerFullAccessPolicy,
    ReadOnlyPolicy,
    WorkspaceWritePolicy,
)
from greenroom.protocol.approval import AnyQuestion, Decision
from greenroom.protocol.events.event import Event
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.login_shells import LoginShells
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.exec.starter import CommandStarter, GroupStarter, OnEnd, Running
from greenroom.workers.patch.turn_diff import TurnDiffTracker
from greenroom.workers.sandbox.policy import Surroundings, confine
from greenroom.workers.tools.approval_gate import ApprovalGate
from greenroom.workers.tools.background_commands import BackgroundCommands
from greenroom.workers.tools.context import DEFAULT_BUDGET, Shell, ToolContext, ToolOutput
from greenroom.workers.tools.registry import call, call_custom
from greenroom.workers.tools.rule_file import keep_rule
from tests.support.events import members

SANDBOXES: Final[Mapping[SandboxMode, ConfinementPolicy]] = {
    "read-only": ReadOnlyPolicy(),
    "workspace-write": WorkspaceWritePolicy(exclude_slash_tmp=True, exclude_tmpdir_env_var=True),
    "danger-full-access": DangerFullAccessPolicy(),
}
NOWHERE: Final = "/nonexistent"
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "HOME": NOWHERE}


class MarkingStarter:
    """Starts commands unconfined and records them; `$CONFINED` tells them how they would be confined."""

    def __init__(self, starter: CommandStarter, confined: str) -> None:
        self._starter = starter
        self._confined = confined
        self.started: list[tuple[str, ...]] = []

    async def start(
        self, command: CommandSpec, stdout: int, stderr: int, on_end: OnEnd, stdin: int | None = None
    ) -> Running:
        self.started.append(command.argv)
        environment = {**command.environment, "CONFINED": self._confined}
        return await self._starter.start(replace(command, environment=environment), stdout, stderr, on_end, stdin)


class Conversation:
    """A context for calls, the emitted events, and a user with prepared answers."""

    def __init__(
        self,
        cwd: str = "/",
        policy: ApprovalPolicy = "never",
        mode: SandboxMode = "danger-full-access",
        answers: Sequence[Decision] = (),
        budget: OutputBudget = DEFAULT_BUDGET,
        home: str = NOWHERE,
        rules: Rules = NO_RULES,
        *,
        keeps_rules: bool = True,
    ) -> None:
        self.groups = ProcessGroups()
        self.events: list[JsonObject] = []
        self.questions: list[AnyQuestion] = []
        self.order: list[str] = []
        """Types of events, and `question` when the user was asked."""
        self.delta = asyncio.Event()
        self.while_asked: Callable[[], object] = lambda: None
        """Called while the user is being asked."""
        self.free = MarkingStarter(GroupStarter(self.groups), "")
        self.sandboxed = MarkingStarter(GroupStarter(self.groups), "yes")
        self.read_only = MarkingStarter(GroupStarter(self.groups), "read-only")
        self._answers = list(answers)
        surroundings = Surroundings(cwd=cwd, codex_home=home, runtime_directory=f"{NOWHERE}/run")
        reader = Reader(home)
        confinement = confine(SANDBOXES[mode], surroundings)
        self.context = ToolContext(
            emit=self.emit,
            cwd=cwd,
            environment=ENVIRONMENT,
            turn_id=TurnId("turn_1"),
            gate=ApprovalGate(
                policy,
                mode,
                confinement,
                self.ask,
                self.emit,
                rules=rules,
                keep_rule=partial(keep_rule, home) if keeps_rules else None,
            ),
            free=self.free,
            sandboxed=self.sandboxed,
            read_only=self.read_only,
            reader=reader,
            may_write=lambda path: confinement is None or confinement.may_write(path),
            shell=Shell("bash", ENVIRONMENT),
            logins=LoginShells(lambda _: True),
            open_commands=BackgroundCommands(self.emit, lambda: None),
            diff=TurnDiffTracker(cwd, reader),
            budget=budget,
        )

    def emit(self, told: Event) -> None:
        event = members(told)
        self.events.append(event)
        self.order.append(str(event["type"]))
        if event["type"] == "exec_command_output_delta":
            self.delta.set()

    async def ask(self, question: AnyQuestion) -> Decision:
        """Answer a question. More questions than prepared answers fail the test."""
        self.questions.append(question)
        self.order.append("question")
        await asyncio.sleep(0)
        self.while_asked()
        assert self._answers, "nobody expected to be asked"
        return self._answers.pop(0)

    def run(self, **arguments: object) -> ToolOutput:
        return self.call("shell", arguments)

    def call(self, name: str, arguments: Mapping[str, object]) -> ToolOutput:
        return asyncio.run(call(name, "call_1", msgspec.json.encode(arguments).decode(), self.context))

    def custom(self, name: str, text: str) -> ToolOutput:
        return asyncio.run(call_custom(name, "call_1", text, self.context))

    @property
    def ways(self) -> tuple[int, int]:
        """How many commands were started in the sandbox, and how many without it."""
        return len(self.sandboxed.started), len(self.free.started)

    def event(self, kind: str) -> JsonObject:
        """Return the one event of a kind."""
        (found,) = (event for event in self.events if event["type"] == kind)
        return found


class Conversations:
    """Makes conversations, and ends what they left running."""

    def __init__(self) -> None:
        self._made: list[Conversation] = []

    def __call__(
        self,
        cwd: object = "/",
        policy: ApprovalPolicy = "never",
        mode: SandboxMode = "danger-full-access",
        answers: Sequence[Decision] = (),
        budget: OutputBudget = DEFAULT_BUDGET,
        home: object = NOWHERE,
        rules: Rules = NO_RULES,
        *,
        keeps_rules: bool = True,
    ) -> Conversation:
        made = Conversation(str(cwd), policy, mode, answers, budget, str(home), rules, keeps_rules=keeps_rules)
        self._made.append(made)
        return self._made[-1]

    def end(self) -> None:
        for conversation in self._made:
            conversation.groups.kill_all()


@pytest.fixture
def begin() -> Iterator[Conversations]:
    """Create a conversation with a directory, a policy, a sandbox mode and a user's answers."""
    conversations = Conversations()
    yield conversations
    conversations.end()


@pytest.fixture
def conversation(begin: Conversations) -> Conversation:
    """One that may do everything and does not ask."""
    return begin()
