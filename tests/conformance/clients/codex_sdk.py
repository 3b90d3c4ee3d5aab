"""Scenes played by the official Python SDK for `codex app-server`, unchanged, which runs in an environment of its own.

`tests.conformance.app_server.sdk` says what it is given as its argument and what it prints.
"""

import asyncio
import json
import sys
from typing import Any

from openai_codex import ApprovalMode, AsyncCodex, Codex, CodexConfig, Sandbox

Scene = dict[str, Any]


def config(scene: Scene) -> CodexConfig:
    return CodexConfig(codex_bin=scene["program"], env=scene["environment"], cwd=scene["cwd"])


def kinds(result: Any) -> list[str]:
    return [item.root.type for item in result.items]


def run(scene: Scene) -> dict[str, Any]:
    """Run two turns, the second with the text streamed."""
    with Codex(config(scene)) as codex:
        thread = codex.thread_start(cwd=scene["cwd"], sandbox=Sandbox.full_access)
        first = thread.run(scene["prompts"][0])
        deltas = [
            note.payload.delta
            for note in thread.turn(scene["prompts"][1]).stream()
            if note.method == "item/agentMessage/delta"
        ]
        return {
            "thread": thread.id,
            "server": codex.metadata.serverInfo.model_dump(),
            "first": first.final_response,
            "kinds": kinds(first),
            "usage": first.usage.last.total_tokens,
            "status": first.status.value,
            "second": "".join(deltas),
        }


def run_async(scene: Scene) -> dict[str, Any]:
    """Do the same with the asynchronous client, and two threads at a time."""

    async def play() -> dict[str, Any]:
        async with AsyncCodex(config(scene)) as codex:
            threads = [await codex.thread_start(cwd=scene["cwd"], sandbox=Sandbox.full_access) for _ in range(2)]
            results = await asyncio.gather(*(thread.run(scene["prompts"][0]) for thread in threads))
            turn = await threads[0].turn(scene["prompts"][1])
            deltas = [note.payload.delta async for note in turn.stream() if note.method == "item/agentMessage/delta"]
            return {
                "threads": [thread.id for thread in threads],
                "responses": [result.final_response for result in results],
                "second": "".join(deltas),
            }

    return asyncio.run(play())


def interrupt(scene: Scene) -> dict[str, Any]:
    """Interrupt a turn at its first piece of text, and fail another."""
    with Codex(config(scene)) as codex:
        thread = codex.thread_start(cwd=scene["cwd"], approval_mode=ApprovalMode.deny_all)
        handle = thread.turn(scene["prompts"][0])
        statuses = []
        for note in handle.stream():
            if note.method == "item/agentMessage/delta":
                handle.interrupt()
            if note.method == "turn/completed":
                statuses.append(note.payload.turn.status.value)
        try:
            thread.run(scene["prompts"][1])
        except RuntimeError as error:
            return {"statuses": statuses, "error": str(error)}
        return {"statuses": statuses, "error": None}


def failure(scene: Scene) -> dict[str, Any]:
    """Run a turn that fails, and another."""
    with Codex(config(scene)) as codex:
        thread = codex.thread_start(cwd=scene["cwd"], sandbox=Sandbox.full_access)
        try:
            thread.run(scene["prompts"][0])
        except RuntimeError as error:
            return {"error": str(error), "after": thread.run(scene["prompts"][1]).final_response}
        return {"error": None}


def library(scene: Scene) -> dict[str, Any]:
    """Take up, fork, name, list, read, put aside and compact a thread, with a server of its own for each half."""
    with Codex(config(scene)) as codex:
        thread = codex.thread_start(cwd=scene["cwd"], sandbox=Sandbox.full_access)
        thread.run(scene["prompts"][0])
        thread.set_name("Mine")
    with Codex(config(scene)) as codex:
        again = codex.thread_resume(thread.id, include_turns=False)
        resumed = again.run(scene["prompts"][1]).final_response
        fork = codex.thread_fork(thread.id)
        forked = fork.run(scene["prompts"][1]).final_response
        turns = again.read(include_turns=True).thread.turns
        listed = codex.thread_list(limit=10).data
        codex.thread_archive(fork.id)
        archived = [one.id for one in codex.thread_list(archived=True).data]
        back = codex.thread_unarchive(fork.id)
        again.compact()
        return {
            "thread": thread.id,
            "fork": fork.id,
            "resumed": resumed,
            "forked": forked,
            "turns": [[item.root.type for item in turn.items] for turn in turns],
            "listed": {one.id: one.name for one in listed},
            "archived": archived,
            "back": back.id,
        }


SCENES = {"library": library, "failure": failure, "run": run, "run_async": run_async, "interrupt": interrupt}

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(SCENES[given["scene"]](given)))
