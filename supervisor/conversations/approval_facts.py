"""The facts of an approval for a person or program that decides it: all that the decision is about.

Texts come from models, repositories and servers. They are spelled out (`greenroom.protocol.display`), and it is said
where something of them is left out.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from greenroom.protocol.approval import (
    CommandQuestion,
    Decision,
    FormQuestion,
    PatchQuestion,
    Question,
    ReviewDecision,
    ToolQuestion,
    UrlQuestion,
)
from greenroom.protocol.display import shown, shown_lines
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.supervisor.conversations.approvals import Approvals
from greenroom.supervisor.conversations.state.open_question import OpenQuestion
from greenroom.workers.patch.stored import as_diff

CHOICES: Final[Mapping[str, ReviewDecision]] = {
    "approve": "approved",
    "approve-for-session": "approved_for_session",
    "deny": "denied",
    "stop": "abort",
}
_LEFT_OUT: Final = re.compile(r"<\d+ (characters|lines) left out>")
"""As `greenroom.protocol.display` marks it; a text that has such words itself has its `<` spelled out."""


class Measure(NamedTuple):
    """How much of each text is told."""

    characters: int
    lines: int


SHORT: Final = Measure(4_000, 200)
"""In a list."""
LONG: Final = Measure(400_000, 20_000)
"""Of one approval."""
MAX_NOTE: Final = 2_000
"""Characters of a note that are passed on."""
_MOST_ARGUMENTS: Final = 1_000
_SPOKEN: Final = (
    "cwd",
    "shell",
    "confined",
    "reason",
    "sandboxFailure",
    "diff",
    "server",
    "tool",
    "description",
    "arguments",
    "url",
    "secondsLeft",
)
"""What is said of an approval beside the question."""


def approval_members(asked: OpenQuestion, title: str | None, now: float, measure: Measure = SHORT) -> JsonObject:
    """Return the members of an approval as the tool `codex-approvals` has them. `now` is in seconds since the epoch."""
    question = asked.question
    details = _details(question, measure)
    left = {} if asked.deadline is None else {"deadline": asked.deadline, "secondsLeft": round(asked.deadline - now, 1)}
    return {
        "approvalId": asked.id,
        "threadId": asked.turn.conversation_id,
        "callId": asked.turn.id,
        **({} if title is None else {"title": shown(title, 200)}),
        "kind": question.kind,
        "question": question.words(),
        **details,
        "complete": not any(_is_cut(value) for value in details.values()),
        "askedAt": asked.asked_at,
        **left,
        "choices": list(choices(question)),
    }


def decide_approval(approvals: Approvals, approval_id: str, choice: str, note: str, by: str) -> OpenQuestion:
    """Decide an approval. `by` says who does, for the log. Raises `ApprovalOverError` or `ConfigError`."""
    asked = approvals.find(approval_id)
    possible = choices(asked.question)
    if choice not in possible:
        raise ConfigError(f"This cannot be decided by {choice[:40]!r}, only by {' or '.join(possible)}.")
    approvals.decide(asked, Decision(verdict=CHOICES[choice], reason=note[:MAX_NOTE] or None), by)
    return asked


def choices(question: Question) -> tuple[str, ...]:
    """Return what can be decided."""
    approvals = {"approve": question.can_be_approved, "approve-for-session": question.can_last}
    return tuple(choice for choice in CHOICES if approvals.get(choice, True))


def approval_in_words(told: JsonObject) -> str:
    """Return an approval for people, and for models that read only text."""
    lines = [f"Approval {told['approvalId']} of conversation {told['threadId']}, turn {told['callId']}"]
    lines.append(str(told["question"]))
    for name in _SPOKEN:
        if name in told:
            value = str(told[name])
            lines.append(f"{name}: {value}" if "\n" not in value else f"{name}:\n{_marked(value)}")
    if not told["complete"]:
        lines.append("Something is left out; ask for it with its approvalId.")
    return "\n".join(lines)


def of_conversation(waiting: list[OpenQuestion], conversation_id: ConversationId) -> list[OpenQuestion]:
    """Return those of one conversation."""
    return [asked for asked in waiting if asked.turn.conversation_id == conversation_id]


def _details(question: Question, measure: Measure) -> JsonObject:
    def line(text: str) -> str:
        return shown(text, measure.characters)

    def lines(text: str) -> str:
        return shown_lines(text, measure.characters, measure.lines)

    match question:
        case CommandQuestion():
            given: JsonObject = {
                "cwd": line(question.cwd),
                "command": [line(word) for word in question.command[:_MOST_ARGUMENTS]],
                "shell": line(question.shell_text),
                "confined": question.confined,
                "reason": None if question.reason is None else lines(question.reason),
                "sandboxFailure": None if question.sandbox_failure is None else lines(question.sandbox_failure),
            }
        case PatchQuestion():
            changes = msgspec.to_builtins(question.changes)
            given = {
                "paths": [line(path) for path in sorted(question.changes)],
                "diff": lines(as_diff([changes], None)),
                "reason": None if question.reason is None else lines(question.reason),
            }
        case ToolQuestion():
            given = {
                "server": line(question.server),
                "tool": line(question.tool),
                "description": lines(question.description),
                "arguments": line(msgspec.json.encode(question.arguments or {}).decode()),
            }
        case FormQuestion():
            given = {"server": line(question.server), "description": lines(question.message)}
        case UrlQuestion():
            given = {
                "server": line(question.server),
                "description": lines(question.message),
                "url": line(question.url),
            }
        case _:
            given = {"arguments": line(msgspec.json.encode(question).decode())}
    return {name: value for name, value in given.items() if value is not None}


def _is_cut(value: object) -> bool:
    if isinstance(value, list):
        return len(value) >= _MOST_ARGUMENTS or any(_is_cut(part) for part in value)
    return isinstance(value, str) and _LEFT_OUT.search(value) is not None


def _marked(text: str) -> str:
    """Mark the lines of a text, so that none of them looks like one of the program's."""
    return "\n".join(f"| {line}" for line in text.split("\n"))
