"""The situations of `tests.conformance.matrix`, as the official Python SDK for `codex app-server` plays them.

The synchronous and the asynchronous client have the same methods; `settled` and `each` take what either returns.
"""

import asyncio
import inspect
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from openai_codex import ApprovalMode, AsyncCodex, Codex, CodexConfig, Sandbox
from openai_codex.client import CodexClient

Scene = dict[str, Any]
DELTA = "item/agentMessage/delta"


async def settled(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def each(stream: Any) -> AsyncIterator[Any]:
    if hasattr(stream, "__aiter__"):
        async for note in stream:
            yield note
    else:
        for note in stream:
            yield note


async def play(scene: Scene) -> dict[str, Any]:
    config = CodexConfig(codex_bin=scene["program"], env=scene["environment"], cwd=scene["cwd"])
    is_async, prompts = scene["mode"] == "async", scene["prompts"]
    one, other = (AsyncCodex(config) if is_async else Codex(config) for _ in range(2))
    report: dict[str, Any] = {}
    try:
        thread = await settled(
            one.thread_start(cwd=scene["cwd"], sandbox=Sandbox.full_access, approval_mode=ApprovalMode.deny_all)
        )
        first = await settled(thread.run(prompts["start"]))
        texts = [
            note.payload.delta
            async for note in each((await settled(thread.turn(prompts["reply"]))).stream())
            if note.method == DELTA
        ]
        report["conversation"] = {"thread": thread.id, "texts": [first.final_response, "".join(texts)]}
        report["streaming"] = {"pieces": len(texts), "streamed": "".join(texts)}
        report["approval"] = await (reviewed(one, scene) if is_async else asyncio.to_thread(asked, config, scene))
        report["interrupt"] = await interrupt(thread, prompts)
        report["killed worker"] = {
            "error": await failure(thread, prompts["die"]),
            "after": await answer(thread, prompts["reply"]),
        }
        report["two clients"] = await two_clients(thread, other, scene)
        await settled(one.close())
        resumed = await settled(other.thread_resume(thread.id))
        report["resumption"] = {"text": await answer(resumed, prompts["reply"])}
    finally:
        for codex in (one, other):
            await settled(codex.close())
    return report


async def reviewed(codex: Any, scene: Scene) -> dict[str, Any]:
    """Leave decisions to the reviewer, as this SDK does by default."""
    thread = await settled(codex.thread_start(cwd=scene["cwd"], sandbox=Sandbox.workspace_write))
    for prompt in ("allowed", "denied"):
        assert await answer(thread, scene["prompts"][prompt]) == "So it is."
    return {"questions": []}


def asked(config: CodexConfig, scene: Scene) -> dict[str, Any]:
    """Have the user asked, by the client below that takes a handler."""
    questions: list[str] = []

    def decide(method: str, params: dict[str, Any] | None) -> dict[str, Any]:
        assert method == "item/commandExecution/requestApproval"
        questions.append((params or {})["command"])
        return {"decision": "decline" if "denied" in questions[-1] else "accept"}

    with CodexClient(config, decide) as client:
        client.initialize()
        settings = {"approvalPolicy": "on-request", "approvalsReviewer": "user", "sandbox": "workspace-write"}
        thread = client.thread_start({"cwd": scene["cwd"], **settings}).thread.id
        for prompt in ("allowed", "denied"):
            turn = client.turn_start(thread, scene["prompts"][prompt]).turn.id
            assert client.wait_for_turn_completed(turn).turn.status.value == "completed"
    return {"questions": questions}


async def interrupt(thread: Any, prompts: dict[str, str]) -> dict[str, Any]:
    handle = await settled(thread.turn(prompts["stall"]))
    ended = None
    async for note in each(handle.stream()):
        if note.method == DELTA:
            await settled(handle.interrupt())
        if note.method == "turn/completed":
            ended = note.payload.turn.status.value
    return {"ended": ended, "after": await answer(thread, prompts["reply"])}


async def two_clients(thread: Any, other: Any, scene: Scene) -> dict[str, Any]:
    notes = each((await settled(thread.turn(scene["prompts"]["wait"]))).stream())
    async for note in notes:
        if note.method == "item/started" and note.payload.item.root.type == "commandExecution":
            break
    told: dict[str, Any] = {"thread": thread.id}
    second = None
    if scene["is_shared"]:
        resumed = await settled(other.thread_resume(thread.id))
        second = await settled(resumed.turn(scene["prompts"]["reply"]))
    else:
        told["refused"] = await failure(other, thread.id, "thread_resume")
    Path(scene["flag"]).touch()
    texts = [
        note.payload.item.root.text
        async for note in notes
        if note.method == "item/completed" and note.payload.item.root.type == "agentMessage"
    ]
    told["waited"] = texts[-1]
    if second is not None:
        told["second"] = (await settled(second.run())).final_response
    return told


async def answer(thread: Any, prompt: str) -> str:
    return str((await settled(thread.run(prompt))).final_response)


async def failure(what: Any, argument: str, method: str = "run") -> str:
    try:
        await settled(getattr(what, method)(argument))
    except Exception as error:  # the SDK raises errors of several kinds
        return str(error)
    raise AssertionError(f"{method} {argument!r} has not failed")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(play(json.loads(sys.argv[1])))))
