"""The chunks of one scripted chat completion, as bytes of a `text/event-stream`. Free of I/O and clocks."""

from collections.abc import Iterator
from functools import singledispatch
from typing import Final

import msgspec

from greenroom.demo.model_request import DecodedRequest
from greenroom.demo.response_stream import MODEL, StreamEffect, command_call, in_blocks, repeated
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

_DONE: Final = b"data: [DONE]\n\n"


class ChatStream:
    """Turns actions into chunks: the Chat Completions counterpart of `ResponseStream`."""

    def __init__(self, request: DecodedRequest, response_id: str) -> None:
        self.request = request
        self.failed = False
        self._id = response_id
        self._calls = 0
        self._usage = ScriptedUsage()

    def created(self) -> bytes:
        """Return the first chunk of every answer."""
        return self.chunk({"role": "assistant", "content": ""})

    def completed(self) -> bytes:
        """Return the last chunks of an answer that neither fails nor breaks off."""
        finish = self.chunk({}, "tool_calls" if self._calls else "stop")
        return finish + _data({**self._members(), "choices": [], "usage": _counts(self._usage)}) + _DONE

    def perform(self, action: ScriptedAction) -> Iterator[StreamEffect]:
        """Return the steps of an action, in order."""
        if isinstance(action, Think | Until | Stall | Disconnect):
            yield action
        elif isinstance(action, ScriptedUsage):
            self._usage = action
        else:
            yield from _render(action, self)

    def chunk(self, delta: dict[str, object], finish: str | None = None) -> bytes:
        """Return one chunk."""
        return _data({**self._members(), "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def next_call(self) -> tuple[str, int]:
        """Return an id for the next call, unique over all answers, and its index."""
        self._calls += 1
        return f"call_{self._id}_{self._calls}", self._calls - 1

    def fail(self, failure: FailedEvent) -> bytes:
        """Return the end of a failed answer."""
        self.failed = True
        return _data({"error": {"code": failure.code, "message": failure.message}})

    def _members(self) -> dict[str, object]:
        return {"id": f"chatcmpl-{self._id}", "object": "chat.completion.chunk", "model": MODEL}


@singledispatch
def _render(action: ScriptedAction, _stream: ChatStream) -> Iterator[StreamEffect]:
    raise TypeError(f"{type(action).__name__} has no place in the middle of a stream")


@_render.register
def _(action: Text, stream: ChatStream) -> Iterator[StreamEffect]:
    if not action.pause:
        yield from in_blocks(stream.chunk({"content": piece}) for piece in action.pieces)
        return
    for piece in action.pieces:
        yield stream.chunk({"content": piece})
        yield Think(action.pause)


@_render.register
def _(action: Deltas, stream: ChatStream) -> Iterator[StreamEffect]:
    yield from repeated([stream.chunk({"content": piece}) for piece in action.pieces], action.count)


@_render.register
def _(action: Quote, stream: ChatStream) -> Iterator[StreamEffect]:
    yield from stream.perform(Text((action.before, stream.request.last_output, action.after)))


@_render.register
def _(action: ReasoningStep, stream: ChatStream) -> Iterator[StreamEffect]:
    for piece in action.pieces:
        yield stream.chunk({"reasoning_content": piece})


@_render.register
def _(action: Call, stream: ChatStream) -> Iterator[StreamEffect]:
    arguments = action.arguments
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    call_id, index = stream.next_call()
    head = {"index": index, "id": call_id, "type": "function", "function": {"name": action.name, "arguments": ""}}
    yield stream.chunk({"tool_calls": [head]})
    half = len(text) // 2
    for piece in (text[:half], text[half:]):
        yield stream.chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})


@_render.register
def _(action: CommandStep, stream: ChatStream) -> Iterator[StreamEffect]:
    yield from stream.perform(command_call(action.argv, stream.request.tools))


@_render.register
def _(action: PatchStep, stream: ChatStream) -> Iterator[StreamEffect]:
    if "apply_patch" in stream.request.tools:
        yield from stream.perform(Call("apply_patch", {"input": action.text}))
    else:
        yield from stream.perform(CommandStep(("apply_patch", action.text)))


@_render.register
def _(action: FailedEvent, stream: ChatStream) -> Iterator[StreamEffect]:
    yield stream.fail(action)


@_render.register
def _(action: MalformedStep, _stream: ChatStream) -> Iterator[StreamEffect]:
    yield action.data


def _data(content: dict[str, object]) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(content)


def _counts(usage: ScriptedUsage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens": usage.output_tokens,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
