"""The situations of `tests.conformance.matrix`, as clients of either generation of the Python SDK for MCP play them."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

Scene = dict[str, Any]
Result = dict[str, Any]
PATIENCE = 60.0
"""Seconds that an answer may take."""


class Complaints(logging.Handler):
    """Keeps what the client logs as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class User:
    """Answers what a client asks, and sees its progress."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.progress = 0
        self.told = asyncio.Event()

    def consents(self, question: str) -> bool:
        self.questions.append(question)
        return "denied" not in question

    async def note(self, progress: float, total: float | None, message: str | None) -> None:
        self.progress += 1
        self.told.set()


class Session(Protocol):
    """One connection of a client."""

    version: str

    async def tools(self) -> list[str]: ...

    async def call(self, tool: str, arguments: dict[str, Any]) -> Result: ...

    async def give_up(self, call: "asyncio.Task[Result]") -> None:
        """Give up the only call that is under way."""


Connect = Callable[[Scene, User], AbstractAsyncContextManager[Session]]


def run(connect: Connect) -> None:
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    report = asyncio.run(play(json.loads(sys.argv[1]), connect))
    print(json.dumps({**report, "complaints": complaints.texts}))


async def play(scene: Scene, connect: Connect) -> dict[str, Any]:
    user, prompts = User(), scene["prompts"]
    report: dict[str, Any] = {}
    async with connect(scene, user) as other:
        async with connect(scene, user) as one:
            report["version"], report["tools"] = one.version, (await one.tools())[:2]
            thread, report["conversation"] = await conversation(one, scene)
            report["streaming"] = {"pieces": user.progress}
            report["approval"] = await approval(one, scene, user)
            report["interrupt"] = await interrupt(one, thread, prompts, user)
            died = await reply(one, thread, prompts["die"], fails=True)
            after = await reply(one, thread, prompts["reply"])
            report["killed worker"] = {"error": text(died), "after": text(after)}
            report["two clients"] = await two_clients(one, other, thread, scene, user)
        resumed = await reply(other, thread, prompts["reply"])
        report["resumption"] = {"text": text(resumed)}
        assert resumed["structuredContent"]["threadId"] == thread
    return report


async def conversation(one: Session, scene: Scene) -> tuple[str, dict[str, Any]]:
    prompts = scene["prompts"]
    first = await one.call("codex", {"prompt": prompts["start"], "cwd": scene["cwd"]})
    thread = first["structuredContent"]["threadId"]
    second = await reply(one, thread, prompts["reply"])
    return thread, {"thread": thread, "texts": [text(first), text(second)]}


async def approval(one: Session, scene: Scene, user: User) -> dict[str, Any]:
    confined = {"cwd": scene["cwd"], "approval-policy": "on-request", "sandbox": "workspace-write"}
    for prompt in ("allowed", "denied"):
        answer = await one.call("codex", {"prompt": scene["prompts"][prompt], **confined})
        assert text(answer) == "So it is.", answer
    return {"questions": user.questions}


async def interrupt(one: Session, thread: str, prompts: dict[str, str], user: User) -> dict[str, Any]:
    call = asyncio.create_task(reply(one, thread, prompts["stall"], fails=True))
    user.told.clear()
    await user.told.wait()
    await one.give_up(call)
    try:
        ended = text(await call)
    except asyncio.CancelledError:
        ended = "cancelled"
    except Exception as error:  # each client has its own
        ended = str(error)
    return {"ended": ended, "after": text(await reply(one, thread, prompts["reply"]))}


async def two_clients(one: Session, other: Session, thread: str, scene: Scene, user: User) -> dict[str, Any]:
    prompts = scene["prompts"]
    waiting = asyncio.create_task(reply(one, thread, prompts["wait"]))
    user.told.clear()
    await user.told.wait()
    second = asyncio.create_task(reply(other, thread, prompts["reply"], fails=not scene["is_shared"]))
    await other.tools()
    if not scene["is_shared"]:
        refused = text(await second)
        Path(scene["flag"]).touch()
        return {"thread": thread, "waited": text(await waiting), "refused": refused}
    Path(scene["flag"]).touch()
    return {"thread": thread, "waited": text(await waiting), "second": text(await second)}


async def reply(session: Session, thread: str, prompt: str, *, fails: bool = False) -> Result:
    result = await session.call("codex-reply", {"threadId": thread, "prompt": prompt})
    assert bool(result.get("isError")) == fails, result
    return result


def text(result: Result) -> str:
    (block,) = result["content"]
    return str(block["text"])
