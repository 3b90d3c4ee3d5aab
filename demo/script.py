"""What a scripted model answers: rules that match a message, each with the steps of its turn.

Scripts have no state. The request alone determines the next step, so any number of conversations can follow one script
at the same time.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from greenroom.demo.model_request import DecodedRequest


@dataclass(frozen=True, slots=True)
class Think:
    """Send nothing for some time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Until:
    """Send nothing until the event is set, so that a test in the same loop decides when the model continues."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Text:
    """One assistant message, streamed in the given pieces."""

    chunks: str | Sequence[str]
    pause: float = 0.0
    """Seconds between two pieces."""

    @property
    def pieces(self) -> Sequence[str]:
        return (self.chunks,) if isinstance(self.chunks, str) else self.chunks


@dataclass(frozen=True, slots=True)
class Deltas:
    """One assistant message of very many pieces, rendered in blocks and written as fast as the client reads."""

    count: int
    chunks: str | Sequence[str] = "word "
    """The pieces, repeated cyclically."""
    whole: str | None = None
    """The text of the finished message; `None` for the concatenated pieces."""

    @property
    def pieces(self) -> Sequence[str]:
        return (self.chunks,) if isinstance(self.chunks, str) else self.chunks

    @property
    def text(self) -> str:
        """The text of the finished message."""
        if self.whole is not None:
            return self.whole
        rounds, rest = divmod(self.count, len(self.pieces))
        return "".join(self.pieces) * rounds + "".join(self.pieces[:rest])


@dataclass(frozen=True, slots=True)
class Quote:
    """One assistant message that repeats the result of the last tool call of this turn."""

    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class ReasoningStep:
    """One reasoning item with a streamed summary."""

    summary: str | Sequence[str]
    encrypted: str | None = None

    @property
    def pieces(self) -> Sequence[str]:
        return (self.summary,) if isinstance(self.summary, str) else self.summary


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    name: str
    arguments: Mapping[str, object] | str
    """A string is sent unchanged, even if it is not JSON."""


@dataclass(frozen=True, slots=True)
class CommandStep:
    """A call that runs a command, in the form of the offered tools."""

    argv: Sequence[str]


@dataclass(frozen=True, slots=True)
class PatchStep:
    """A call that applies a patch, in the form of the offered tools."""

    text: str


@dataclass(frozen=True, slots=True)
class ScriptedUsage:
    """The token counts of the completed response."""

    input_tokens: int = 100
    cached_tokens: int = 0
    output_tokens: int = 10
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class FailStep:
    """Answer the request with an HTTP status instead of a stream. Only pauses may precede it."""

    status: int
    body: Mapping[str, object] | str = ""
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """End the stream with `response.failed`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the stream early."""

    orderly: bool = False
    """Whether the HTTP body ends properly, so that only `response.completed` is missing."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Send nothing more and keep the connection open until the client closes it."""


@dataclass(frozen=True, slots=True)
class MalformedStep:
    """Send these bytes unchanged within the stream."""

    data: bytes


@dataclass(frozen=True, slots=True)
class First:
    """Do something only for the first requests that a conversation sends for one step, for tests of retries."""

    times: int
    action: "ScriptedAction"


ScriptedAction: TypeAlias = (
    Think
    | Until
    | Text
    | Deltas
    | Quote
    | ReasoningStep
    | Call
    | CommandStep
    | PatchStep
    | ScriptedUsage
    | FailStep
    | FailedEvent
    | Disconnect
    | Stall
    | MalformedStep
    | First
)
ScriptStep: TypeAlias = tuple[ScriptedAction, ...]

NO_RULE: Final[ScriptStep] = (Text("This model is a script, and it has no answer to that message."),)
NO_STEP: Final[ScriptStep] = (Text("The script of this model has no further step for that message."),)


@dataclass(frozen=True, slots=True)
class ScriptRule:
    """The steps of a turn whose user message matches."""

    says: str | re.Pattern[str]
    """A part of the message, or a pattern for `re.search`. The empty string matches every message."""
    steps: tuple[ScriptStep, ...]

    def matches(self, message: str) -> bool:
        if isinstance(self.says, str):
            return self.says in message
        return self.says.search(message) is not None

    def step(self, outputs: int) -> ScriptStep:
        """Return the step for this number of tool outputs in the turn."""
        for step in self.steps:
            if outputs <= 0:
                return step
            outputs -= max(1, sum(isinstance(action, Call | CommandStep | PatchStep) for action in step))
        return NO_STEP


def rule(says: str | re.Pattern[str], *steps: Sequence[ScriptedAction]) -> ScriptRule:
    """Return a rule with one step for each list of actions."""
    return ScriptRule(says, tuple(tuple(step) for step in steps))


@dataclass(frozen=True, slots=True)
class Script:
    """Rules in the order in which they are tried."""

    name: str
    rules: tuple[ScriptRule, ...]

    def step(self, request: DecodedRequest) -> ScriptStep:
        """Return the model's actions for this request."""
        for candidate in self.rules:
            if candidate.matches(request.message):
                return candidate.step(len(request.outputs))
        return NO_RULE


def make_script(*rules: ScriptRule, name: str = "script") -> Script:
    """Return a script of these rules."""
    return Script(name, rules)
