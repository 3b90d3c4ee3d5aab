"""Decides in place of the user whether an action may happen, by a request of its own to the model.

Whatever is no plain consent is a refusal: an answer of another form, an error of the model's server, or none in time.
"""

import asyncio
import logging
from contextlib import aclosing
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.config.texts import approval_review_policy
from greenroom.protocol.approval import CommandQuestion, Decision, PatchQuestion, ToolQuestion
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.events.review import GuardianAssessment
from greenroom.protocol.ids import uuid7
from greenroom.protocol.items import JsonObject, text_parts
from greenroom.protocol.user_messages import is_user_message
from greenroom.workers.clock import now_ms
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.conversation.history.history import History
from greenroom.workers.conversation.model_connection import ModelSource
from greenroom.workers.conversation.prompt.prompt import input_message
from greenroom.workers.conversation.prompt.request_builder import RequestBuilder
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.model.responses import Completed, ItemDone, ResponseUsage

log = logging.getLogger(__name__)

Reviewable: TypeAlias = CommandQuestion | PatchQuestion | ToolQuestion
"""What a reviewer can decide; forms and addresses of servers are for people."""
TIMEOUT: Final = 90.0
"""Seconds that a review may take."""
LONGEST_MESSAGE: Final = 4000
"""Characters of a message that the reviewer is shown."""
LONGEST_ACTION: Final = 32_000
"""Characters of an action that can be reviewed; a longer one is refused, since not all of it could be shown."""
MESSAGES: Final = 40
"""Messages that it is shown, the latest ones."""
SCHEMA: Final[JsonObject] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["verdict", "risk", "authorization", "rationale"],
    "properties": {
        "verdict": {"type": "string", "enum": ["allow", "deny"]},
        "risk": {"type": "string", "enum": ["low", "medium", "high", "critical"]},
        "authorization": {"type": "string", "enum": ["unknown", "low", "medium", "high"]},
        "rationale": {"type": "string"},
    },
}


class ReviewAnswer(msgspec.Struct, frozen=True):
    """The answer of the model."""

    verdict: Literal["allow", "deny"]
    risk: Literal["low", "medium", "high", "critical"]
    authorization: Literal["unknown", "low", "medium", "high"]
    rationale: str


class ReviewFailedError(Exception):
    """There is no review; the text says why."""


class ApprovalReviewer:
    """Belongs to one conversation."""

    def __init__(
        self,
        model: ModelSource,
        requests: RequestBuilder,
        transcript: Transcript,
        turn: CurrentTurn,
        tokens: TokenCounter,
    ) -> None:
        self._tokens = tokens
        self._model = model
        self._requests = requests
        self._transcript = transcript
        self._turn = turn

    @property
    def is_wanted(self) -> bool:
        """Whether the settings of the running turn leave decisions to it."""
        return self._turn.settings.reviewer == "auto_review"

    async def decide(self, question: Reviewable) -> Decision:
        """Return the decision, and tell clients of it."""
        told = GuardianAssessment(
            id=uuid7(),
            turn_id=self._turn.id,
            target_item_id=question.call_id,
            status="in_progress",
            risk_level=None,
            user_authorization=None,
            rationale=None,
            action=action_of(question, self._turn.settings.cwd),
            started_at_ms=now_ms(),
            completed_at_ms=None,
        )
        self._transcript.emit_now(told)
        ended = msgspec.structs.replace(told, status="aborted")
        try:
            decision, ended = await self._decided(question, told)
        finally:
            self._transcript.emit_now(msgspec.structs.replace(ended, completed_at_ms=now_ms()))
        return decision

    async def _decided(self, question: Reviewable, told: GuardianAssessment) -> tuple[Decision, GuardianAssessment]:
        try:
            text = evidence(question, [entry.item for entry in self._transcript.history])
            async with asyncio.timeout(TIMEOUT):
                review = read_review(await self._asked(text))
        except TimeoutError:
            reason = f"the reviewer did not decide within {TIMEOUT:g} s"
            return _refused(reason), msgspec.structs.replace(told, status="timed_out", rationale=reason)
        except (ReviewFailedError, GreenroomError) as error:
            reason = f"no review was possible: {error}"
            return _refused(reason), msgspec.structs.replace(told, status="denied", rationale=reason)
        ended = msgspec.structs.replace(
            told,
            status="approved" if review.verdict == "allow" else "denied",
            risk_level=review.risk,
            user_authorization=review.authorization,
            rationale=review.rationale,
        )
        if review.verdict == "allow":
            return Decision(verdict="approved"), ended
        return _refused(f"the reviewer refused it: {review.rationale}"), ended

    async def _asked(self, text: str) -> str:
        """Return the model's answer. Raises `ReviewFailedError` or `GreenroomError`."""
        encoder = self._requests.review_encoder(approval_review_policy(), SCHEMA)
        request = History([input_message([{"type": "text", "text": text}])])
        body = encoder.body(request.encoded_input(with_members=encoder.takes_members))
        client = await self._model.client()
        texts: list[str] = []
        usage: ResponseUsage | None = None
        async with aclosing(client.stream(body, lambda _: texts.clear())) as batches:
            async for events in batches:
                for event in events:
                    if isinstance(event, ItemDone) and event.item.get("type") == "message":
                        texts.append("".join(text_parts(event.item)))
                    elif isinstance(event, Completed):
                        usage = event.usage
        if usage is not None:
            self._tokens.add(usage)
        if not texts:
            raise ReviewFailedError("the model gave no answer")
        return texts[-1]


def read_review(text: str) -> ReviewAnswer:
    """Read the answer of the model, also where it is fenced as code. Raises `ReviewFailedError`."""
    bare = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        return msgspec.json.decode(bare, type=ReviewAnswer)
    except (msgspec.MsgspecError, UnicodeError):
        raise ReviewFailedError("the model's answer is no review") from None


def action_of(question: Reviewable, cwd: str) -> JsonObject:
    """Return what is to be decided, as clients are told. `cwd` is that of the turn."""
    match question:
        case CommandQuestion():
            return {"type": "command", "source": "shell", "command": question.shell_text, "cwd": question.cwd}
        case PatchQuestion():
            return {"type": "apply_patch", "files": sorted(question.changes), "cwd": cwd}
        case ToolQuestion():
            return {"type": "mcp_tool_call", "server": question.server, "tool_name": question.tool}


def evidence(question: Reviewable, history: list[JsonObject]) -> str:
    """Return what the reviewer is shown. Raises `ReviewFailedError` where the action is too long to be shown whole."""
    action = msgspec.json.encode(question).decode()
    if len(action) > LONGEST_ACTION:
        raise ReviewFailedError(f"the action has more than {LONGEST_ACTION:,} characters")
    said = [told for item in history if (told := _message_text(item)) is not None][-MESSAGES:]
    messages = "\n".join(msgspec.json.encode({"from": speaker, "text": text}).decode() for speaker, text in said)
    return f"What was said, oldest first, one JSON object a line:\n{messages}\n\nThe action:\n{action}"


def _message_text(item: JsonObject) -> tuple[str, str] | None:
    if item.get("type") != "message":
        return None
    text = "\n".join(text_parts(item))
    cut = text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} … ({len(text)} characters)"
    if item.get("role") == "assistant":
        return "agent", cut
    return ("user", cut) if is_user_message(item) else None


def _refused(reason: str) -> Decision:
    return Decision(verdict="denied", reason=reason)
