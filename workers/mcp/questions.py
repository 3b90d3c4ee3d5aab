"""Asks the client about and on behalf of the user's MCP servers: by an event, and by a request."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.mcp.elicitation import Decision
from greenroom.workers.tools.types import Emit

_MEMBERS: Final = {
    "_meta": "_meta",
    "message": "message",
    "requestedSchema": "requested_schema",
    "url": "url",
    "elicitationId": "elicitation_id",
}
"""Members of the request that the event repeats, with their names there."""


class ServerQuestions:
    """The path from one conversation's servers to its user."""

    def __init__(self, ask: Callable[[bytes], Awaitable[Decision]], emit: Emit, turn_id: Callable[[], TurnId]) -> None:
        self._ask = ask
        self._emit = emit
        self._turn_id = turn_id

    async def put(self, server: str, question_id: str, params: JsonObject) -> Decision:
        """Ask, and wait for the outcome. `params` are those of `elicitation/create`."""
        request = {name: params[member] for member, name in _MEMBERS.items() if member in params}
        event: JsonObject = {
            "type": "elicitation_request",
            "turn_id": self._turn_id(),
            "server_name": server,
            "id": question_id,
            "request": {"mode": params.get("mode", "form"), **request},
        }
        waiting = self._emit(event)
        if waiting is not None:
            await waiting
        return await self._ask(msgspec.json.encode(params))
