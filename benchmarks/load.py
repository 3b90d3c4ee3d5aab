"""Many conversations at once, some of whose processes are killed: plays them, and accounts for every call."""

import os
import random
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import msgspec

from benchmarks.client import Answer, Client
from greenroom.demo.scripts import bench_prompt
from greenroom.protocol.report import Role

WIDTH: Final = 20
"""Calls that are open at a time."""
BEGUN: Final = 60
"""Conversations that have begun and still have turns before them, at a time."""
TIMEOUT: Final = 60.0
"""Seconds that an answer may take."""
HELPERS: Final = 0.1
"""Share of the deaths that are the fork server's or the broker's, as long as they may die."""
_LOOK: Final = 0.02
"""Seconds between two looks at what is due."""

Turn: TypeAlias = Literal["hello", "command", "patch", "stall"]
"""`stall`: the model falls silent after a command, so that the call has to be cancelled."""
Victims: TypeAlias = Callable[[Role], list[int]]
"""Finds the pids of a role."""
Fate: TypeAlias = Literal["succeeded", "aborted", "crashed", "failed"]

_PROMPTS: Final[dict[Turn, str]] = {
    "hello": bench_prompt("hello"),
    "command": bench_prompt("parent"),
    "patch": bench_prompt("patch"),
    "stall": bench_prompt("parent, then stall"),
}
_FATES: Final[dict[str | None, Fate]] = {None: "succeeded", "turn_aborted": "aborted", "worker_crashed": "crashed"}


class _Error(msgspec.Struct):
    kind: str


class _Structured(msgspec.Struct):
    threadId: str  # noqa: N815
    error: _Error | None = None


class _Result(msgspec.Struct):
    structuredContent: _Structured | None = None  # noqa: N815


class _Line(msgspec.Struct):
    result: _Result | None = None


@dataclass(slots=True)
class Conversation:
    """One conversation and the turns that it still has before it."""

    turns: deque[Turn]
    thread: str | None = None


@dataclass(slots=True)
class Call:
    """A call that has no answer yet."""

    conversation: Conversation
    begun: float
    cancel_at: float | None
    cancelled: bool = False


@dataclass(slots=True)
class Account:
    """What became of the calls."""

    fates: Counter[Fate] = field(default_factory=Counter)
    killed: Counter[Role] = field(default_factory=Counter)
    """Processes that were killed, by role."""
    slowest: float = 0.0
    """Seconds that the slowest call took, those that had to be cancelled left out."""
    violations: list[str] = field(default_factory=list)
    """What must not be, in words."""

    def __add__(self, other: "Account") -> "Account":
        """Return the account of what was played one after the other."""
        return Account(
            self.fates + other.fates,
            self.killed + other.killed,
            max(self.slowest, other.slowest),
            [*self.violations, *other.violations],
        )

    def judge(self) -> None:
        """Note what only the sums show: a process that is killed costs one call at most."""
        hit, killed = self.fates["crashed"], self.killed["worker"]
        if hit > killed:
            self.violations.append(f"{hit} calls crashed, though only {killed} workers were killed")


class LoadGenerator:
    """Plays conversations on one client until all have had their turns."""

    def __init__(self, client: Client, cast: Iterable[Conversation], seed: int) -> None:
        self._client = client
        self._random = random.Random(seed)
        self._cast = iter(cast)
        self._begun: deque[Conversation] = deque()
        self._open: dict[int, Call] = {}
        self.account = Account()

    def play(self, killer: "Killer | None" = None, every: float = 0.0) -> Account:
        """Play to the end, while the killer strikes every so many seconds."""
        next_death = time.monotonic() + every
        while self._go_on():
            if killer is not None and time.monotonic() >= next_death:
                if (role := killer()) is not None:
                    self.account.killed[role] += 1
                next_death = time.monotonic() + self._random.uniform(0.5, 1.5) * every
            for number, answer in self._client.answers(_LOOK).items():
                self._take(number, answer)
            self._attend()
        self.account.judge()
        return self.account

    def _go_on(self) -> bool:
        """Begin as many calls as there may be; return whether any is open."""
        while len(self._open) < WIDTH and (conversation := self._next()) is not None:
            self._call(conversation)
        return bool(self._open)

    def _next(self) -> Conversation | None:
        """Return a newcomer where there is room for one, else who has waited longest for its next turn."""
        newcomer = next(self._cast, None) if len(self._begun) + len(self._open) < BEGUN else None
        return newcomer or (self._begun.popleft() if self._begun else None)

    def _call(self, conversation: Conversation) -> None:
        turn, now = conversation.turns.popleft(), time.monotonic()
        prompt, thread = _PROMPTS[turn], conversation.thread
        number = self._client.begin(prompt) if thread is None else self._client.reply(thread, prompt)
        cancel_at = now + self._random.uniform(0.0, 0.5) if turn == "stall" else None
        self._open[number] = Call(conversation, now, cancel_at)

    def _take(self, number: int, answer: Answer) -> None:
        call = self._open.pop(number, None)
        if call is None:
            self.account.violations.append(f"call {number} was answered twice")
            return
        fate, kind = self._learn(call, answer)
        self.account.fates[fate] += 1
        if call.cancel_at is None:
            self.account.slowest = max(self.account.slowest, answer.at - call.begun)
        if fate == "failed" or (fate == "aborted" and not call.cancelled):
            self.account.violations.append(f"call {number} ended as {kind}: {answer.line[:300].decode()}")
        if call.conversation.turns:
            self._begun.append(call.conversation)

    def _learn(self, call: Call, answer: Answer) -> tuple[Fate, str | None]:
        result = msgspec.json.decode(answer.line, type=_Line).result
        told = None if result is None else result.structuredContent
        if told is None:
            return "failed", "nothing that can be read"
        call.conversation.thread = told.threadId
        kind = None if told.error is None else told.error.kind
        return _FATES.get(kind, "failed"), kind

    def _attend(self) -> None:
        """Cancel what is due, and give up what is never answered."""
        now = time.monotonic()
        for number, call in list(self._open.items()):
            if call.cancel_at is not None and not call.cancelled and now >= call.cancel_at:
                self._client.cancel(number)
                call.cancelled = True
            if now - call.begun > TIMEOUT:
                self.account.violations.append(f"call {number} was not answered within {TIMEOUT:.0f} s")
                del self._open[number]


def conversations(seed: int, longest: int = 4) -> Iterator[Conversation]:
    """Yield conversations of one to `longest` turns, as the seed decides; the last turn of each is a greeting."""
    chance = random.Random(seed)
    kinds: tuple[Turn, ...] = ("hello", "command", "patch", "stall")
    while True:
        yield Conversation(deque([*chance.choices(kinds, k=chance.randrange(longest)), "hello"]))


class Killer:
    """Kills processes of a server at random, helpers no more often than their restart intensity allows."""

    def __init__(self, victims: Victims, seed: int, helpers: int, workers: int = sys.maxsize) -> None:
        """`helpers`: how often a fork server, and how often a broker may be killed; `workers`: how often a worker."""
        self._victims = victims
        self._random = random.Random(seed)
        self._left: dict[Role, int] = {"fork_server": helpers, "broker": helpers, "worker": workers}

    def __call__(self) -> Role | None:
        """Kill one process and return its role, `None` where there was none."""
        helpers: list[Role] = [role for role in ("fork_server", "broker") if self._left[role]]
        others: list[Role] = ["worker"] if self._left["worker"] else helpers
        role: Role = self._random.choice(
            helpers if helpers and self._random.random() < HELPERS else others or ["worker"]
        )
        found = self._victims(role) if self._left[role] else []
        if not found:
            return None
        with suppress(ProcessLookupError):
            os.kill(self._random.choice(found), signal.SIGKILL)
        self._left[role] -= 1
        return role
