"""The official MCP client of the generation 1.x, which runs in an environment of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp_situations import PATIENCE, Scene, User, run


class Session:
    def __init__(self, client: ClientSession, user: User, version: str) -> None:
        self._client, self._user = client, user
        self.version = version

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self._client.list_tools()).tools]

    async def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = await self._client.call_tool(tool, arguments, timedelta(seconds=PATIENCE), self._user.note)
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def give_up(self, call: "asyncio.Task[dict[str, Any]]") -> None:
        # This generation sends no cancellation by itself, and keeps the number of its last request to itself.
        cancelled = types.CancelledNotification(
            params=types.CancelledNotificationParams(requestId=self._client._request_id - 1)
        )
        await self._client.send_notification(types.ClientNotification(cancelled))


def transport(scene: Scene) -> Any:
    """Return the way to the server: over HTTP where the scene has a URL."""
    if "url" in scene:
        return streamablehttp_client(scene["url"], headers=scene["headers"])
    return stdio_client(
        StdioServerParameters(command=scene["command"], args=scene["args"], env=scene["environment"], cwd=scene["cwd"])
    )


@asynccontextmanager
async def connect(scene: Scene, user: User) -> AsyncIterator[Session]:
    async def answer(context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        if user.consents(params.message):
            return types.ElicitResult(action="accept", content={})
        return types.ElicitResult(action="decline")

    async with (
        transport(scene) as (read, write, *_),
        ClientSession(read, write, elicitation_callback=answer) as client,
    ):
        greeting = await client.initialize()
        yield Session(client, user, greeting.protocolVersion)


if __name__ == "__main__":
    run(connect)
