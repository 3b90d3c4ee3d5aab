"""Runs a conversation in the process that forks workers, before it forks.

The interpreter specializes bytecode as it runs (PEP 659): processes forked afterwards are faster from the beginning,
and share more memory. The model is a socket in a temporary directory, which is also the home; the conversation runs one
command, `true`. Nothing is kept or reported.
"""

import asyncio
import contextlib
import gc
import os
import shutil
from collections.abc import Iterator
from typing import Final

from greenroom.protocol.ids import ConversationId, Incarnation, TurnId, WorkerId, uuid7
from greenroom.protocol.internal.process import KeyPair, WorkerSpec
from greenroom.protocol.internal.worker.header import message_frames
from greenroom.protocol.internal.worker.notices import WorkerNotice
from greenroom.protocol.internal.worker.operations import Open
from greenroom.protocol.jsonrpc import encode
from greenroom.runtime.http import aiohttp
from greenroom.workers.conversation.opening import open_conversation
from greenroom.workers.model.credentials.channel import CredentialsChannel

TIMES: Final = 8
"""How often it runs: the interpreter specializes a function from the eighth call on."""
_CONFIG: Final = """
model = "warmup"
model_provider = "warmup"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[model_providers.warmup]
name = "warmup"
base_url = "http://localhost/v1"
"""
_ITEM: Final = {
    "type": "message",
    "id": "m",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello."}],
}
_USAGE: Final = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
_EVENTS: Final = (
    {"type": "response.created", "response": {"id": "r"}},
    {"type": "response.output_item.added", "output_index": 0, "item": {**_ITEM, "content": []}},
    {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "Hello."},
    {"type": "response.output_item.done", "output_index": 0, "item": _ITEM},
    {"type": "response.completed", "response": {"id": "r", "usage": _USAGE}},
)
_CALL: Final = {
    "type": "function_call",
    "id": "f",
    "call_id": "c",
    "name": "shell",
    "arguments": '{"command": ["true"]}',
}
_CALLING: Final = (
    {"type": "response.created", "response": {"id": "r"}},
    {"type": "response.output_item.done", "output_index": 0, "item": _CALL},
    {"type": "response.completed", "response": {"id": "r", "usage": _USAGE}},
)
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"


def run_warmup(directory: str) -> Iterator[None]:
    """Run the conversations below an existing directory, and yield after each.

    Leaves neither files, processes, threads nor garbage. Raises `OSError`.
    """
    stage = os.path.join(directory, "warmup")
    gc.freeze()  # so that the collection examines only objects created here
    try:
        os.mkdir(stage, 0o700)
        with open(os.path.join(stage, "config.toml"), "w", encoding="utf-8") as config:
            config.write(_CONFIG)
        for _ in range(TIMES):
            asyncio.run(_play(stage))
            yield
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    gc.collect()


async def _play(stage: str) -> None:
    """Open a conversation and run two turns in it, the first with a command."""
    model = os.path.join(stage, "model")

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.UnixConnector(model), cookie_jar=aiohttp.DummyCookieJar())

    operation = Open(
        conversation_id=ConversationId(uuid7()), incarnation=Incarnation(1), resume="no", user_agent="warmup"
    )
    async with await asyncio.start_unix_server(_answer, model):
        arguments = encode({"cli": (), "call": {"cwd": stage}})
        conversation = await open_conversation(operation, arguments, _spec(stage), _Silence(), _no_channel, session)
        try:
            for _ in range(2):
                await conversation.turns.run(TurnId(uuid7()), encode([{"type": "text", "text": "Hello."}]))
        finally:
            await conversation.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as the model on one connection."""
    called, said = (b"".join(b"data: %b\n\n" % encode(event) for event in events) for events in (_CALLING, _EVENTS))
    with contextlib.suppress(asyncio.IncompleteReadError), contextlib.closing(writer):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            asked = await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            body = said if b"function_call_output" in asked else called
            writer.write(_HEAD % len(body) + body)


def _spec(stage: str) -> WorkerSpec:
    no_keys = KeyPair(public="", secret="")
    return WorkerSpec(
        id=WorkerId("w-warmup"),
        keys=no_keys,
        supervisor_pid=os.getpid(),
        codex_home=stage,
        runtime_directory=stage,
        log_level="warning",
        mailbox_address="",
        mailbox_key="",
        events_path="",
        events_ticket=b"",
        broker_address="",
        broker_key="",
        broadcast_address="",
    )


def _no_channel() -> CredentialsChannel:
    raise RuntimeError("the warm-up has no credentials")


class _Silence:
    """An event sink (`greenroom.workers.event_sink.EventSink`) that drops everything."""

    pressed = False

    def emit(self, event: bytes) -> None:
        pass

    def notify(self, notice: WorkerNotice, payload: bytes = b"") -> None:
        message_frames(notice, payload)

    async def drain(self) -> None:
        pass
