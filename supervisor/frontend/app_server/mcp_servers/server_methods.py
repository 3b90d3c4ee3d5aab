"""The methods about MCP servers: what they offer, calls of their tools, their resources, another look at the settings.

They are asked in the process of a thread. Where the client names none, it is one that is started for the question.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from greenroom.protocol.app_server import mcp_servers as wire
from greenroom.protocol.app_server.threads import ThreadStartParams
from greenroom.protocol.internal import requests
from greenroom.protocol.internal.worker.operations import RequestName
from greenroom.protocol.jsonrpc import INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.client_requests import RequestFailedError
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.app_server.mcp_servers.status_form import status_page
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.app_server.thread_settings import conversation_overrides
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer

_RESULT: Final = msgspec.json.Decoder(dict[str, Any])


class McpServerMethods:
    """These methods on one connection."""

    def __init__(self, conversations: Conversations, sessions: ThreadSessions) -> None:
        self._conversations = conversations
        self._sessions = sessions
        self.methods: Mapping[str, AnswerMethod] = {
            "mcpServerStatus/list": self._list,
            "mcpServer/tool/call": self._call,
            "mcpServer/resource/read": self._read,
            "config/mcpServer/reload": self._reload,
        }

    async def _list(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ListMcpServerStatusParams, b"{}")
        wanted = requests.McpStatus(params.server_name, with_resources=params.detail != "toolsAndAuthOnly")
        async with self._thread(params.thread_id) as conversation:
            found = await self._serve(conversation, "mcp-status", wanted)
        servers = msgspec.json.decode(found, type=requests.McpServerStates).servers
        return RequestAnswer(encode(status_page(servers, params.cursor, params.limit)))

    async def _call(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.McpServerToolCallParams)
        wanted = requests.McpCall(params.server, params.tool, params.arguments)
        async with self._thread(params.thread_id) as conversation:
            found = _RESULT.decode(await self._serve(conversation, "mcp-call", wanted))
        called = {"content": found.get("content") or [], "isError": found.get("isError")}
        others = {name: found[name] for name in ("structuredContent", "_meta") if found.get(name) is not None}
        return RequestAnswer(encode({**called, **others}))

    async def _read(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.McpResourceReadParams)
        async with self._thread(params.thread_id) as conversation:
            found = await self._serve(conversation, "mcp-resource", requests.McpResource(params.server, params.uri))
        return RequestAnswer(encode({"contents": _RESULT.decode(found).get("contents") or []}))

    async def _reload(self, _: Request) -> RequestAnswer:
        self._conversations.reload_settings()
        return RequestAnswer()

    async def _serve(self, conversation: Conversation, name: RequestName, wanted: object) -> bytes:
        try:
            return await self._conversations.requests.serve(conversation, name, encode(wanted))
        except RequestFailedError as error:
            raise RefusedError(INVALID_REQUEST, str(error)) from None

    @asynccontextmanager
    async def _thread(self, thread_id: str | None) -> AsyncIterator[Conversation]:
        """Give the thread of this id, or another that ends with the block. Raises `RefusedError`."""
        if thread_id is not None:
            conversation, _, _ = await self._sessions.require(thread_id)
            await self._sessions.announced(conversation)
            yield conversation
            return
        params = ThreadStartParams(cwd=self._sessions.channel.directory(None))
        conversation = self._conversations.open(conversation_overrides(params), ephemeral=True)
        try:
            await self._sessions.announced(conversation)
            yield conversation
        finally:
            if conversation.state != "closed":
                self._conversations.dismiss(conversation, lambda: None)
