"""Asks the user about and on behalf of their MCP servers: by an event, and by a question."""

from collections.abc import Callable
from typing import Final

from greenroom.protocol.approval import Decision, FormQuestion, ServerQuestion, ToolQuestion, UrlQuestion
from greenroom.protocol.events.mcp import ElicitationRequest
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.question_text import form_of, tool_meta
from greenroom.workers.tools.types import Ask, Emit

_NO_FIELDS: Final[JsonObject] = {"type": "object", "properties": {}}


class ServerQuestions:
    """The path from one conversation's servers to its user."""

    def __init__(self, ask: Ask, emit: Emit, turn_id: Callable[[], TurnId]) -> None:
        self._ask = ask
        self._emit = emit
        self._turn_id = turn_id

    async def put(self, question_id: str, question: ServerQuestion) -> Decision:
        """Ask, and wait for the outcome. `question_id` is its id in the event."""
        event = ElicitationRequest(
            turn_id=self._turn_id(), server_name=question.server, id=question_id, request=_request(question)
        )
        waiting = self._emit(event)
        if waiting is not None:
            await waiting
        return await self._ask(question)


def _request(question: ServerQuestion) -> JsonObject:
    """Return the `request` of the event."""
    message = question.words()
    match question:
        case ToolQuestion():
            return {"mode": "form", "_meta": tool_meta(question), "message": message, "requested_schema": _NO_FIELDS}
        case FormQuestion():
            return {"mode": "form", "message": message, "requested_schema": form_of(question.form)}
        case UrlQuestion():
            return {"mode": "url", "message": message, "url": question.url, "elicitation_id": question.elicitation_id}
