"""A conversation held by the official client of the generation 1.x, which runs in an environment of its own.

`tests.conformance.foreign` says what it is given as its argument and what it prints.
"""

import asyncio
import json
import logging
import sys
from datetime import timedelta
from typing import Any

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

PATIENCE = timedelta(seconds=20)


class Complaints(logging.Handler):
    """Keeps what the client logs as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class Conversation:
    """What is asked and told while the scene is played."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.progress = 0
        self.told = asyncio.Event()

    async def ask(self, context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.questions.append(params.message)
        return types.ElicitResult(action="accept", content={})

    async def note(self, progress: float, total: float | None, message: str | None) -> None:
        self.progress += 1
        self.told.set()


def transport(scene: dict[str, Any]) -> Any:
    """Return the way to the server: over HTTP where the scene has a URL."""
    if "url" in scene:
        return streamablehttp_client(scene["url"], headers=scene["headers"])
    return stdio_client(
        StdioServerParameters(command=scene["command"], args=scene["args"], env=scene["environment"], cwd=scene["cwd"])
    )


async def play(scene: dict[str, Any]) -> dict[str, Any]:
    heard = Conversation()
    async with (
        transport(scene) as (read, write, *_),
        ClientSession(read, write, elicitation_callback=heard.ask) as session,
    ):

        async def call(tool: str, **arguments: object) -> dict[str, Any]:
            result = await session.call_tool(tool, arguments, PATIENCE, heard.note)
            return result.model_dump(mode="json", by_alias=True, exclude_none=True)

        greeting = await session.initialize()
        tools = (await session.list_tools()).tools
        first = await call("codex", prompt=scene["first"], **{"approval-policy": "untrusted"})
        thread = first["structuredContent"]["threadId"]
        reply = await call("codex-reply", threadId=thread, prompt=scene["reply"])
        heard.told.clear()
        given_up = asyncio.create_task(call("codex-reply", threadId=thread, prompt=scene["given_up"]))
        await heard.told.wait()
        # This generation sends no cancellation by itself, and keeps the number of its last request to itself.
        cancelled = types.CancelledNotification(
            params=types.CancelledNotificationParams(requestId=session._request_id - 1)
        )
        await session.send_notification(types.ClientNotification(cancelled))
        aborted = await given_up
        return {
            "version": greeting.protocolVersion,
            "tools": [tool.name for tool in tools],
            "first": first,
            "reply": reply,
            "given_up": aborted["content"][0]["text"],
            "last": await call("codex-reply", threadId=thread, prompt=scene["reply"]),
            "questions": heard.questions,
            "progress": heard.progress,
        }


def main() -> None:
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    report = asyncio.run(play(json.loads(sys.argv[1])))
    print(json.dumps({**report, "complaints": complaints.texts}))


if __name__ == "__main__":
    main()
