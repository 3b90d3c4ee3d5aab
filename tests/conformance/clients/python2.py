"""The official MCP client of the generation 2.x, in the mode that the scene names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_situations import PATIENCE, Scene, User, run
from mcp_types import ElicitResult


class Session:
    def __init__(self, client: Client, user: User) -> None:
        self._client, self._user = client, user
        self.version = client.protocol_version

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self._client.list_tools()).tools]

    async def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = await self._client.call_tool(tool, arguments, PATIENCE, self._user.note)
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def give_up(self, call: "asyncio.Task[dict[str, Any]]") -> None:
        call.cancel()


@asynccontextmanager
async def connect(scene: Scene, user: User) -> AsyncIterator[Session]:
    async def answer(context: object, params: Any) -> ElicitResult:
        if user.consents(params.message):
            return ElicitResult(action="accept", content={})
        return ElicitResult(action="decline")

    async with AsyncExitStack() as stack:
        if "url" in scene:
            http = httpx2.AsyncClient(headers=scene["headers"], timeout=httpx2.Timeout(PATIENCE))
            server: Any = streamable_http_client(scene["url"], http_client=await stack.enter_async_context(http))
        else:
            server = StdioServerParameters(
                command=scene["command"], args=scene["args"], env=scene["environment"], cwd=scene["cwd"]
            )
        client = Client(server, mode=scene["mode"], elicitation_callback=answer)
        yield Session(await stack.enter_async_context(client), user)


if __name__ == "__main__":
    run(connect)
