"""Where a conversation's toolbox is tried: a workspace, a home with a login, and a user with prepared answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

from greenroom.config.tables.sandbox import ConfinementPolicy, WorkspaceWritePolicy
from greenroom.protocol.approval import AnyQuestion, Decision
from greenroom.protocol.events.event import Event
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.policy import ApprovalPolicy
from greenroom.workers.exec.login_shells import LoginShells
from greenroom.workers.sandbox.launcher import Loss
from greenroom.workers.sandbox.policy import Surroundings
from greenroom.workers.tools.context import Shell
from greenroom.workers.tools.toolbox import Toolbox, TurnRules
from tests.support import processes
from tests.support.events import members

SECRET = "sk-never-to-be-shown"
INSIDE = WorkspaceWritePolicy(exclude_slash_tmp=True, exclude_tmpdir_env_var=True)
FIRST, SECOND = TurnId("turn_1"), TurnId("turn_2")


@dataclass
class Place:
    """Where a conversation works, and what is around it."""

    root: Path
    keeps_rules: bool = True
    events: list[JsonObject] = field(default_factory=list)
    questions: int = 0

    def __post_init__(self) -> None:
        self.cwd, self.home, self.outside = (self.root / name for name in ("work", "home", "outside"))
        for directory in (self.cwd, self.home, self.outside):
            directory.mkdir()
        (self.home / "auth.json").write_text(SECRET)
        self.output = asyncio.Event()
        self.all_ended = 0
        """How often the last of the commands has ended between two turns."""
        self.losses: list[Loss] = []
        self._answers: list[Decision] = []

    async def ask(self, question: AnyQuestion) -> Decision:
        self.questions += 1
        return self._answers.pop(0)

    def emit(self, told: Event) -> None:
        event = members(told)
        self.events.append(event)
        if event["type"] == "exec_command_output_delta":
            self.output.set()

    def commands_ended(self) -> None:
        self.all_ended += 1

    def helper_lost(self, loss: Loss) -> None:
        self.losses.append(loss)

    def toolbox(
        self, policy: ApprovalPolicy = "never", sandbox: ConfinementPolicy = INSIDE, answers: Sequence[Decision] = ()
    ) -> Toolbox:
        self._answers = list(answers)
        surroundings = Surroundings(str(self.cwd), str(self.home), str(self.root / "run"))
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.root), "CODEX_HOME": str(self.home)}
        shell = Shell("bash", environment)
        workplace = TurnRules(
            approval_policy=policy,
            sandbox_policy=sandbox,
            surroundings=surroundings,
            environment=environment,
            shell=shell,
            output_tokens=10_000,
        )
        return Toolbox(workplace, LoginShells(lambda _: True), self)

    def sleepers(self) -> list[psutil.Process]:
        """Return those of our commands that have come as far as to sleep."""
        found = processes.named(psutil.Process().children(recursive=True), "sleep")
        return [process for process in found if self._is_here(process)]

    def _is_here(self, process: psutil.Process) -> bool:
        try:
            return process.cwd() == str(self.cwd)
        except psutil.NoSuchProcess:  # or dead and not buried
            return False

    def kinds(self) -> list[object]:
        return [event["type"] for event in self.events]

    def play(self, toolbox: Toolbox, scene: Callable[[Toolbox], Awaitable[None]]) -> None:
        """Play a scene and close the toolbox, after which no process of it is left."""

        async def run() -> None:
            try:
                await scene(toolbox)
            finally:
                await toolbox.close()

        asyncio.run(run())


def function(name: str, **arguments: object) -> JsonObject:
    encoded = msgspec.json.encode(arguments).decode()
    return {"type": "function_call", "name": name, "call_id": "call_1", "arguments": encoded}


def shell(script: str, **more: object) -> JsonObject:
    return function("shell", command=["sh", "-c", script], **more)


def custom(name: str, text: str) -> JsonObject:
    return {"type": "custom_tool_call", "name": name, "call_id": "call_1", "input": text}


def output(told: object) -> str:
    """Return the output of a command that the model was told of as text."""
    assert isinstance(told, str)
    return str(msgspec.json.decode(told)["output"])
