"""A server written with the official SDK, on its pipes or, given a port, over streamable HTTP."""

import asyncio
import os
import sys
from pathlib import Path

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from pydantic import BaseModel

server = MCPServer("official", instructions="for tests")
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)


class Name(BaseModel):
    name: str


class Nothing(BaseModel):
    pass


class Point(BaseModel):
    x: int


@server.resource("shelf://books", name="books", description="All of them.", mime_type="text/plain")
def books() -> str:
    return "Emma"


@server.resource("shelf://books/{title}", name="book")
def book(title: str) -> str:
    if title == "lost":
        raise ResourceError("it is lost")
    return f"The text of {title}."


@server.tool(description="Say it back.")
def echo(text: str, times: int | None = None) -> str:
    return text * (times or 1)


@server.tool(structured_output=True)
def point() -> Point:
    return Point(x=7)


@server.tool()
def picture() -> list[Image | str]:
    return ["a pixel", Image(data=PIXEL, format="png")]


@server.tool()
def fail() -> str:
    raise ToolError("no such shelf")


@server.tool()
def environment() -> str:
    return "\n".join(f"{name}={value}" for name, value in sorted(os.environ.items()))


@server.tool()
def where() -> str:
    return os.getcwd()


@server.tool()
async def wait(started: str, cancelled: str) -> str:
    Path(started).touch()
    try:
        await asyncio.Event().wait()
    finally:
        Path(cancelled).touch()
    return "never"


@server.tool()
async def ask_name(ctx: Context) -> str:
    answer = await ctx.elicit("Who are you?", schema=Name)
    return f"{answer.action} {answer.data.name}" if answer.action == "accept" else answer.action


@server.tool()
async def ask_leave(ctx: Context) -> str:
    return (await ctx.elicit("May I?", schema=Nothing)).action


@server.tool()
async def grow(ctx: Context) -> str:
    server.add_tool(lambda: "grown", name="grown", description="New.")
    await ctx.session.send_tool_list_changed()
    return "done"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
