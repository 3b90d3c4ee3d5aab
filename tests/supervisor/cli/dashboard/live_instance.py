"""The control socket of an instance that tells those who watch whatever a test wants."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from greenroom.supervisor.control.control_messages import WatchConversation, read_control_request
from greenroom.supervisor.control.instances import CONTROL
from greenroom.supervisor.control.watch_messages import WatchBegan, watch_line


class LiveInstance:
    """One that tells each watcher the same."""

    def __init__(self) -> None:
        self.asked: list[WatchConversation] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def tell(self, *events: dict[str, Any]) -> None:
        """Tell events, and wait until watchers have read most of it."""
        line = json.dumps({"watch": "events", "events": events}).encode() + b"\n"
        for writer in self._writers:
            writer.write(line)
            await writer.drain()

    async def watched(self, count: int = 1) -> None:
        """Wait until so many have asked."""
        while len(self._writers) < count:
            await asyncio.sleep(0.005)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        request = read_control_request(await reader.readline())
        assert isinstance(request, WatchConversation)
        self.asked.append(request)
        writer.write(watch_line(WatchBegan()))
        self._writers.append(writer)


@asynccontextmanager
async def live_instance(directory: Path) -> AsyncIterator[LiveInstance]:
    """Listen in a runtime directory."""
    instance = LiveInstance()
    server = await asyncio.start_unix_server(instance.serve, directory / CONTROL)
    try:
        yield instance
    finally:
        server.close()
        for writer in instance._writers:
            writer.close()


def turn_begun(*texts: str) -> Sequence[dict[str, Any]]:
    """Return the events of a turn in which a text has been begun."""
    place = {"thread_id": "c", "turn_id": "t"}
    task = {"type": "task_started", "turn_id": "t", "started_at": 1}
    item = {"type": "AgentMessage", "id": "m", "content": []}
    return (
        {**task, "model_context_window": None, "collaboration_mode_kind": "default"},
        {"type": "item_started", **place, "item": item, "started_at_ms": 1},
        *map(piece, texts),
    )


def piece(text: str) -> dict[str, Any]:
    """Return the event of a piece of the text."""
    return {
        "type": "agent_message_content_delta",
        "thread_id": "c",
        "turn_id": "t",
        "item_id": "m",
        "delta": text,
    }


def reasoning(text: str) -> dict[str, Any]:
    """Return the event of a piece of reasoning."""
    kind = {"type": "reasoning_content_delta", "item_id": "r", "summary_index": 0}
    return {**piece(text), **kind}


def output(text: str) -> dict[str, Any]:
    """Return the event of a piece of a command's output."""
    chunk = base64.b64encode(text.encode()).decode()
    return {"type": "exec_command_output_delta", "call_id": "o", "stream": "stdout", "chunk": chunk}


def command_begun(command: str) -> dict[str, Any]:
    """Return the event of a command, which has written nothing yet."""
    item = {"type": "CommandExecution", "id": "o", "command": ["bash", "-lc", command], "cwd": "/"}
    return {"type": "item_started", "thread_id": "c", "turn_id": "t", "item": item, "started_at_ms": 1}
