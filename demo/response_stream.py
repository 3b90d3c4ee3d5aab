"""The events of one scripted response, as bytes of a `text/event-stream`. Free of I/O and clocks."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from itertools import cycle, islice
from typing import Final, TypeAlias

import msgspec

from greenroom.demo.model_request import DecodedRequest
from greenroom.demo.script import (
    Call,
    CommandStep,
    Deltas,
    Disconnect,
    FailedEvent,
    MalformedStep,
    PatchStep,
    Quote,
    ReasoningStep,
    ScriptedAction,
    ScriptedUsage,
    Stall,
    Text,
    Think,
    Until,
)

MODEL: Final = "scripted"
BLOCK: Final = 256 * 1024
"""Maximum bytes that are rendered ahead of the client."""

StreamItem: TypeAlias = Mapping[str, object]
StreamEffect: TypeAlias = bytes | Think | Until | Stall | Disconnect
"""The next thing to do: write bytes, or something that takes time or ends the stream."""


class ResponseStream:
    """Turns actions into events, and maintains the counters in them."""

    def __init__(self, request: DecodedRequest, response_id: str) -> None:
        self.request = request
        self.failed = False
        self._id = response_id
        self._items = 0
        self._usage = ScriptedUsage()

    def created(self) -> bytes:
        """Return the first event of every response."""
        return event("response.created", response=self._response("in_progress"))

    def completed(self) -> bytes:
        """Return the last event of a response that neither fails nor breaks off."""
        return event("response.completed", response={**self._response("completed"), "usage": _counts(self._usage)})

    def perform(self, action: ScriptedAction) -> Iterator[StreamEffect]:
        """Return the steps of an action, in order."""
        if isinstance(action, Think | Until | Stall | Disconnect):
            yield action
        elif isinstance(action, ScriptedUsage):
            self._usage = action
        else:
            yield from _render(action, self)

    def next_item(self, prefix: str) -> tuple[str, int]:
        """Return an id for the next output item, unique over all responses, and its index."""
        self._items += 1
        return f"{prefix}_{self._id}_{self._items}", self._items - 1

    def fail(self, failure: FailedEvent) -> bytes:
        """Return the last event of a failed response."""
        self.failed = True
        error = {"code": failure.code, "message": failure.message}
        return event("response.failed", response={**self._response("failed"), "error": error})

    def _response(self, status: str) -> dict[str, object]:
        return {"id": f"resp_{self._id}", "object": "response", "model": MODEL, "status": status}


def event(kind: str, **fields: object) -> bytes:
    """Return one event of the stream."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


@singledispatch
def _render(action: ScriptedAction, _stream: ResponseStream) -> Iterator[StreamEffect]:
    raise TypeError(f"{type(action).__name__} has no place in the middle of a stream")


@_render.register
def _(action: Text, stream: ResponseStream) -> Iterator[StreamEffect]:
    message = _Message(stream)
    yield message.opening()
    if action.pause:
        for piece in action.pieces:
            yield message.delta(piece)
            yield Think(action.pause)
    else:
        yield from in_blocks(message.delta(piece) for piece in action.pieces)
    yield message.closing("".join(action.pieces))


@_render.register
def _(action: Deltas, stream: ResponseStream) -> Iterator[StreamEffect]:
    message = _Message(stream)
    yield message.opening()
    yield from repeated([message.delta(piece) for piece in action.pieces], action.count)
    yield message.closing(action.text)


@_render.register
def _(action: Quote, stream: ResponseStream) -> Iterator[StreamEffect]:
    yield from stream.perform(Text((action.before, stream.request.last_output, action.after)))


@_render.register
def _(action: ReasoningStep, stream: ResponseStream) -> Iterator[StreamEffect]:
    item_id, index = stream.next_item("rs")
    place = {"item_id": item_id, "output_index": index, "summary_index": 0}
    item: StreamItem = {"type": "reasoning", "id": item_id, "summary": [], "encrypted_content": action.encrypted}
    whole = "".join(action.pieces)
    part = {"type": "summary_text", "text": whole}
    yield event("response.output_item.added", output_index=index, item=item)
    yield event("response.reasoning_summary_part.added", **place, part={**part, "text": ""})
    for piece in action.pieces:
        yield event("response.reasoning_summary_text.delta", **place, delta=piece)
    yield event("response.reasoning_summary_text.done", **place, text=whole)
    yield event("response.reasoning_summary_part.done", **place, part=part)
    yield event("response.output_item.done", output_index=index, item={**item, "summary": [part]})


@_render.register
def _(action: Call, stream: ResponseStream) -> Iterator[StreamEffect]:
    arguments = action.arguments
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    item_id, index = stream.next_item("fc")
    place = {"item_id": item_id, "output_index": index}
    item: StreamItem = {"type": "function_call", **_call_ids(item_id), "name": action.name, "arguments": text}
    yield event("response.output_item.added", output_index=index, item={**item, "arguments": ""})
    yield event("response.function_call_arguments.delta", **place, delta=text)
    yield event("response.function_call_arguments.done", **place, arguments=text)
    yield event("response.output_item.done", output_index=index, item={**item, "status": "completed"})


@_render.register
def _(action: CommandStep, stream: ResponseStream) -> Iterator[StreamEffect]:
    tools = stream.request.tools
    if "local_shell" in tools and tools.keys().isdisjoint(("exec_command", "shell_command", "shell")):
        yield from _whole_item(stream, "lsh", _local_shell_call(action.argv))
    else:
        yield from stream.perform(command_call(action.argv, tools))


@_render.register
def _(action: PatchStep, stream: ResponseStream) -> Iterator[StreamEffect]:
    offered = stream.request.tools.get("apply_patch")
    if offered == "custom":
        yield from _whole_item(stream, "ctc", {"type": "custom_tool_call", "name": "apply_patch", "input": action.text})
    elif offered == "function":
        yield from stream.perform(Call("apply_patch", {"input": action.text}))
    else:
        yield from stream.perform(CommandStep(("apply_patch", action.text)))


@_render.register
def _(action: FailedEvent, stream: ResponseStream) -> Iterator[StreamEffect]:
    yield stream.fail(action)


@_render.register
def _(action: MalformedStep, _stream: ResponseStream) -> Iterator[StreamEffect]:
    yield action.data


class _Message:
    """One assistant message while it is streamed."""

    def __init__(self, stream: ResponseStream) -> None:
        self._id, self._index = stream.next_item("msg")
        self._place = {"item_id": self._id, "output_index": self._index, "content_index": 0}

    def opening(self) -> bytes:
        return event(
            "response.output_item.added", output_index=self._index, item=self._item("in_progress", [])
        ) + event("response.content_part.added", **self._place, part=_part(""))

    def delta(self, piece: str) -> bytes:
        return event("response.output_text.delta", **self._place, delta=piece)

    def closing(self, whole: str) -> bytes:
        return (
            event("response.output_text.done", **self._place, text=whole)
            + event("response.content_part.done", **self._place, part=_part(whole))
            + event("response.output_item.done", output_index=self._index, item=self._item("completed", [_part(whole)]))
        )

    def _item(self, status: str, content: Sequence[StreamItem]) -> StreamItem:
        return {"type": "message", "id": self._id, "role": "assistant", "status": status, "content": content}


def command_call(argv: Sequence[str], tools: Mapping[str, str]) -> Call:
    """Return the function call that runs a command, for the tool that is offered."""
    if "exec_command" in tools:
        login = argv[:2] == ("bash", "-lc") and len(argv) == 3
        return Call("exec_command", {"cmd": argv[2] if login else shlex.join(argv)})
    if "shell_command" in tools:
        return Call("shell_command", {"command": shlex.join(argv)})
    return Call("shell", {"command": list(argv)})


def _part(text: str) -> StreamItem:
    return {"type": "output_text", "text": text, "annotations": []}


def _local_shell_call(argv: Sequence[str]) -> StreamItem:
    action = {"type": "exec", "command": list(argv), "timeout_ms": None, "working_directory": None, "env": None}
    return {"type": "local_shell_call", "status": "completed", "action": action}


def _whole_item(stream: ResponseStream, prefix: str, fields: StreamItem) -> Iterator[bytes]:
    item_id, index = stream.next_item(prefix)
    item = {**_call_ids(item_id), **fields}
    yield event("response.output_item.added", output_index=index, item=item)
    yield event("response.output_item.done", output_index=index, item=item)


def _call_ids(item_id: str) -> StreamItem:
    return {"id": item_id, "call_id": f"call_{item_id}"}


def _counts(usage: ScriptedUsage) -> StreamItem:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def repeated(parts: Sequence[bytes], count: int) -> Iterator[bytes]:
    """Return that many parts, cycling through them, in blocks that are joined only once."""
    rounds = max(1, BLOCK // sum(map(len, parts)))
    block = b"".join(parts) * rounds
    blocks, rest = divmod(count, len(parts) * rounds)
    for _ in range(blocks):
        yield block
    yield b"".join(islice(cycle(parts), rest))


def in_blocks(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Return all parts, joined into blocks."""
    for first in parts:
        gathered = [first]
        size = len(first)
        for part in parts:
            gathered.append(part)
            size += len(part)
            if size >= BLOCK:
                break
        yield b"".join(gathered)
