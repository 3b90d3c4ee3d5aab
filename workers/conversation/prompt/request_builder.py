"""The constant parts of a conversation's requests: model, instructions, tools and reasoning."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.model.codec import Encoder, make_encoder
from greenroom.workers.model.request import ModelRequest
from greenroom.workers.tools.tool_selection import offered_tools

if TYPE_CHECKING:
    from greenroom.workers.mcp.toolset import McpToolset


class RequestBuilder:
    """Belongs to one conversation. The encoder is renewed when the turn's settings or the MCP servers' tools change."""

    def __init__(
        self,
        conversation_id: ConversationId,
        instructions: str,
        turn: CurrentTurn,
        toolset: "McpToolset | None",
        goal_tools: Callable[[], Sequence[JsonObject]] = tuple,
    ) -> None:
        """`goal_tools` returns the tools for the goal of the conversation, the same object as long as they are."""
        self._wire_api = turn.settings.provider.wire_api
        self._conversation_id = conversation_id
        self._instructions = instructions
        self._turn = turn
        self._toolset = toolset
        self._mcp_tools: Sequence[JsonObject] = ()
        self._present_goal_tools = goal_tools
        self._renew()

    async def encoder(self) -> Encoder:
        """Return the encoder of the next request, once its MCP servers are ready. Raises `StartError`."""
        if self._toolset is not None:
            await self._toolset.ready()
            self._mcp_tools = self._toolset.definitions()
        settings, tools, goal_tools = self._encoder_for
        is_other = settings is not self._turn.settings or tools is not self._mcp_tools
        if is_other or goal_tools is not self._present_goal_tools():
            self._renew()
        return self._encoder

    @property
    def size(self) -> int:
        """Bytes of a request without a history, with the tools that are known so far."""
        if self._encoder_for[0] is not self._turn.settings:
            self._renew()
        return len(self._encoder.body(b"[]"))

    def encoder_without_tools(self) -> Encoder:
        """Return the encoder of requests that are to be answered with text alone."""
        return make_encoder(self._wire_api, msgspec.structs.replace(self._request(), tools=(), output_schema=None))

    def review_encoder(self, instructions: str, schema: JsonObject) -> Encoder:
        """Return the encoder of a request that has instructions of its own and an answer of a given form."""
        request = msgspec.structs.replace(
            self._request(), instructions=instructions, tools=(), output_schema=schema, summary=None
        )
        return make_encoder(self._wire_api, request)

    def _renew(self) -> None:
        self._encoder_for = self._turn.settings, self._mcp_tools, self._present_goal_tools()
        self._encoder = make_encoder(self._wire_api, self._request())

    def _request(self) -> ModelRequest:
        settings = self._turn.settings
        return ModelRequest(
            model=settings.model,
            conversation_id=self._conversation_id,
            instructions=self._instructions,
            tools=[*offered_tools(settings), *self._present_goal_tools(), *self._mcp_tools],
            parallel_tool_calls=False,
            supports_reasoning=settings.model_family.supports_reasoning,
            effort=settings.reasoning_effort,
            summary=settings.reasoning_summary,
            verbosity=settings.verbosity,
            output_schema=None if settings.output_schema is None else {**settings.output_schema},
        )
