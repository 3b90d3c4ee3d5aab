"""What the requests of a conversation say besides its history: the instructions, the tools, and how to think."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from greenroom.config.providers import WireApi
from greenroom.config.settings import Settings
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.workers.model.codec import Encoder, make_encoder
from greenroom.workers.model.request import ModelRequest
from greenroom.workers.tools.tool_selection import offered_tools

if TYPE_CHECKING:
    from greenroom.workers.mcp.toolset import McpToolset


class RequestBuilder:
    """Makes the encoder of requests anew when the settings of a turn, or the tools of MCP servers, are others."""

    def __init__(
        self,
        wire_api: WireApi,
        conversation_id: ConversationId,
        instructions: str,
        present: Callable[[], Settings],
        toolset: "McpToolset | None",
    ) -> None:
        """`present` gives the settings of the running turn."""
        self._wire_api = wire_api
        self._conversation_id = conversation_id
        self._instructions = instructions
        self._present = present
        self._toolset = toolset
        self._tools: Sequence[JsonObject] = ()
        self._renew()

    async def encoder(self) -> Encoder:
        """Return what writes the next request, once MCP servers are ready that it waits for. Raises `StartError`."""
        if self._toolset is not None:
            await self._toolset.ready()
            self._tools = self._toolset.definitions()
        settings, tools = self._encoder_for
        if settings is not self._present() or tools is not self._tools:
            self._renew()
        return self._encoder

    @property
    def size(self) -> int:
        """Bytes of a request without a history, with the tools that are known so far."""
        if self._encoder_for[0] is not self._present():
            self._renew()
        return len(self._encoder.body(b"[]"))

    def encoder_without_tools(self) -> Encoder:
        """Return what writes a request that is to be answered with text alone."""
        return make_encoder(self._wire_api, replace(self._request(), tools=()))

    def _renew(self) -> None:
        self._encoder_for = self._present(), self._tools
        self._encoder = make_encoder(self._wire_api, self._request())

    def _request(self) -> ModelRequest:
        settings = self._present()
        return ModelRequest(
            model=settings.model,
            conversation_id=self._conversation_id,
            instructions=self._instructions,
            tools=[*offered_tools(settings), *self._tools],
            parallel_tool_calls=False,
            supports_reasoning=settings.model_family.supports_reasoning,
            effort=settings.reasoning_effort,
            summary=settings.reasoning_summary,
            verbosity=settings.verbosity,
        )
