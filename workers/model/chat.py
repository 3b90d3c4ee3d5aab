"""What a model says in one streamed chat completion, free of I/O: payloads in, the events of `responses` out.

Rules that it enforces (spec/agent-core 2.8, with its defects mended):

* An answer is complete once the server has given a reason to finish and then usage, `[DONE]` or the end of the body.
  `[DONE]` alone will do; the end of the body alone will not, so that an answer that was cut off is never taken for one.
* Items come out when the answer is finished: the reasoning, one message, then the calls in the order they began in.
* A server's last words before the end of the body are told even where they are no JSON.
* Fragments of calls go by their index. Servers that give none, or the same one to every call, are understood by id and
  name; ids that are missing or given twice are made up.
* Text is passed on as the JSON string that the server wrote, under the same promise as in `responses`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar
from uuid import uuid4

import msgspec

from greenroom.protocol.items import JsonObject
from greenroom.protocol.jsontext import mended
from greenroom.workers.model.error_body import DETAIL
from greenroom.workers.model.responses import (
    Completed,
    Decode,
    ItemDone,
    ModelEvent,
    ReasoningDelta,
    ResponseFailed,
    TextDelta,
    Usage,
)

CLOSED_TEXT: Final = "stream closed before the answer was complete"

CUT_SHORT: Final[Mapping[str, ResponseFailed]] = {
    # No limit is sent with a request: it is the end of the context, or a limit that the server has for each answer.
    "length": ResponseFailed("the answer was cut off because it became too long", "length"),
    "model_length": ResponseFailed("the answer was cut off because it became too long", "context_length_exceeded"),
    "content_filter": ResponseFailed("the server's content filter stopped the answer", "content_filter"),
    "error": ResponseFailed("the server stopped with an error"),
}
"""Reasons to finish that leave the answer incomplete; any other one is a good end."""


class _Delta(msgspec.Struct, gc=False):
    """What one chunk adds. Members are decoded only where they hold something."""

    content: msgspec.Raw = msgspec.Raw()
    reasoning_content: msgspec.Raw = msgspec.Raw()
    reasoning: msgspec.Raw = msgspec.Raw()
    refusal: msgspec.Raw = msgspec.Raw()
    tool_calls: msgspec.Raw = msgspec.Raw()


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: object = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _Function(msgspec.Struct):
    name: object = None
    arguments: msgspec.Raw = msgspec.Raw()


class _Fragment(msgspec.Struct):
    index: msgspec.Raw = msgspec.Raw()
    id: object = None
    function: _Function | None = None


class _Thought(msgspec.Struct):
    text: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _AnswerDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int = 0
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _AnswerDetails | None = None


T = TypeVar("T")

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NULL: Final = msgspec.Raw(b"null")
_decode_chunk: Final[Decode[_Chunk]] = msgspec.json.Decoder(_Chunk).decode
_decode_fragments: Final[Decode[list[_Fragment] | None]] = msgspec.json.Decoder(list[_Fragment] | None).decode
_decode_thought: Final[Decode[_Thought]] = msgspec.json.Decoder(_Thought).decode
_decode_usage: Final[Decode[_Usage]] = msgspec.json.Decoder(_Usage, strict=False).decode
_decode_text: Final[Decode[str]] = msgspec.json.Decoder(str).decode
_decode_object: Final[Decode[JsonObject]] = msgspec.json.Decoder(dict[str, object]).decode
_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


def new_call_id() -> str:
    """Return an id for a call to which the server gave none."""
    return f"call_{uuid4().hex}"


class ChatDecoder:
    """Reads one answer (`greenroom.workers.model.codec.Decoder`)."""

    def __init__(self, new_id: Callable[[], str] = new_call_id) -> None:
        self._texts: list[bytes] = []
        self._thoughts: list[bytes] = []
        self._calls = _Calls(new_id)
        self._usage: Usage | None = None
        self._finished = False
        self._ended = False
        self._unread = b""
        """The last payload, if it was no readable JSON."""
        self.skipped = 0
        """Payloads that were passed over because they were no readable JSON."""

    @property
    def ended(self) -> bool:
        """The last event has been decoded: `Completed` or `ResponseFailed`."""
        return self._ended

    def decode(self, payloads: list[bytes]) -> list[ModelEvent]:
        """Return the events of some payloads, in order. `Completed` or `ResponseFailed` comes last, and nothing
        after it."""
        events: list[ModelEvent] = []
        for payload in payloads:
            if self._ended:
                break
            try:
                chunk = _decode_chunk(payload)
            except _UNREADABLE:
                self._take_unusual(payload, events)
            else:
                self._take(chunk, payload, events)
        return events

    def end(self) -> Completed | ResponseFailed:
        """Return what it means that the stream ends here."""
        if not self._finished or self._ended:
            last_words = self._unread.decode("utf-8", "replace").strip()[:DETAIL]
            return ResponseFailed(f"{CLOSED_TEXT}: {last_words}" if last_words else CLOSED_TEXT)
        self._ended = True
        return self._completed()

    def _take_unusual(self, payload: bytes, events: list[ModelEvent]) -> None:
        if payload.strip() == b"[DONE]":
            self._finish("stop", events)
            self._complete(events)
            return
        payload = mended(payload)
        if (chunk := _attempt(_decode_chunk, payload)) is None:
            self._unread = payload
            self.skipped += 1
        else:
            self._take(chunk, payload, events)

    def _take(self, chunk: _Chunk, payload: bytes, events: list[ModelEvent]) -> None:
        self._unread = b""
        choices = chunk.choices
        if (chunk.error or not choices) and (complaint := _complaint(payload)) is not None:
            self._fail(complaint, events)
            return
        if choices and not self._finished:
            choice = choices[0]
            if choice.delta is not None:
                self._take_delta(choice.delta, events)
            if choice.finish_reason:
                self._finish(str(choice.finish_reason), events)
        if chunk.usage and chunk.usage != _NULL:
            self._usage = _usage(chunk.usage) or self._usage
        if self._finished and self._usage is not None and not self._ended:
            self._complete(events)

    def _take_delta(self, delta: _Delta, events: list[ModelEvent]) -> None:
        if delta.reasoning_content or delta.reasoning:
            # Servers that changed the name of the member send both for a time.
            thought = _token(delta.reasoning_content) or _token(delta.reasoning) or _inner_token(delta.reasoning)
            if thought:
                self._thoughts.append(thought)
                events.append(ReasoningDelta(thought))
        if text := _token(delta.content):
            self._texts.append(text)
            events.append(TextDelta(text))
        if delta.refusal and (text := _token(delta.refusal)):
            self._texts.append(text)
            events.append(TextDelta(text))
        if delta.tool_calls:
            self._take_fragments(delta.tool_calls)

    def _take_fragments(self, raw: msgspec.Raw) -> None:
        try:
            fragments = _decode_fragments(raw)
        except _UNREADABLE:
            self.skipped += 1
            return
        for fragment in fragments or ():
            self._calls.take(fragment)

    def _finish(self, reason: str, events: list[ModelEvent]) -> None:
        if self._finished:
            return
        self._finished = True
        if (failed := CUT_SHORT.get(reason)) is not None:
            self._fail(failed, events)
        else:
            events.extend(map(ItemDone, self._items()))

    def _fail(self, failed: ResponseFailed, events: list[ModelEvent]) -> None:
        self._ended = True
        events.append(failed)

    def _complete(self, events: list[ModelEvent]) -> None:
        self._ended = True
        events.append(self._completed())

    def _completed(self) -> Completed:
        return Completed("", self._usage, end_turn=True)

    def _items(self) -> Iterator[JsonObject]:
        if self._thoughts:
            content: list[JsonObject] = [{"type": "reasoning_text", "text": _joined(self._thoughts)}]
            yield {"type": "reasoning", "summary": [], "content": content}
        if self._texts:
            content = [{"type": "output_text", "text": _joined(self._texts)}]
            yield {"type": "message", "role": "assistant", "content": content}
        yield from self._calls.items()


class _Call:
    """One call on its way."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[bytes] = []

    def add(self, call_id: str, name: str, arguments: bytes) -> None:
        self.id = self.id or call_id
        self.name = self.name or name
        if arguments:
            self.arguments.append(arguments)

    def is_over(self, call_id: str, name: str, arguments: bytes) -> bool:
        """Tell whether a fragment that seems to belong here begins another call instead."""
        if not (name and self.name):
            return False
        if call_id and self.id:
            return call_id != self.id
        return name != self.name or (bool(arguments) and self._has_whole_arguments())

    def _has_whole_arguments(self) -> bool:
        return _attempt(_decode_object, _joined(self.arguments).encode()) is not None


class _Calls:
    """The calls of one answer."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._all: list[_Call] = []
        self._by_index: dict[bytes, _Call] = {}

    def take(self, fragment: _Fragment) -> None:
        function = fragment.function or _Function()
        call_id, name, arguments = _text(fragment.id), _text(function.name), _arguments(function.arguments)
        if not (call_id or name or arguments):
            return
        index = b"" if fragment.index == _NULL else bytes(fragment.index)
        call = self._by_index.get(index) if index else self._without_index(call_id)
        if call is None or call.is_over(call_id, name, arguments):
            call = _Call()
            self._all.append(call)
        self._by_index[index] = call
        call.add(call_id, name, arguments)

    def _without_index(self, call_id: str) -> _Call | None:
        if not call_id:
            return self._all[-1] if self._all else None
        return next((call for call in self._all if call.id == call_id), None)

    def items(self) -> Iterator[JsonObject]:
        used: set[str] = set()
        for call in self._all:
            # One id for two calls would give both the same output.
            call_id = call.id if call.id and call.id not in used else self._new_id()
            used.add(call_id)
            arguments = _joined(call.arguments) or "{}"
            yield {"type": "function_call", "name": call.name, "arguments": arguments, "call_id": call_id}


def _attempt(decode: Decode[T], text: bytes | msgspec.Raw) -> T | None:
    try:
        return decode(text)
    except _UNREADABLE:
        return None


def _token(raw: msgspec.Raw) -> bytes:
    """Return the JSON string that a member holds; nothing where it holds none, or an empty one."""
    token = bytes(raw)
    if len(token) < 3 or not token.startswith(b'"'):
        return b""
    return token if token.isascii() else _valid(token)


def _valid(token: bytes) -> bytes:
    # The decoder has checked the escapes, but not UTF-8.
    try:
        token.decode()
    except UnicodeDecodeError:
        return mended(token)
    return token


def _inner_token(raw: msgspec.Raw) -> bytes:
    thought = _attempt(_decode_thought, raw)
    return b"" if thought is None else _token(thought.text) or _token(thought.content)


def _joined(tokens: list[bytes]) -> str:
    return _decode_text(b'"' + b"".join(token[1:-1] for token in tokens) + b'"')


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _arguments(raw: msgspec.Raw) -> bytes:
    """Return a fragment of arguments as a JSON string. Some servers send the object itself."""
    text = bytes(raw)
    return _encode(text.decode("utf-8", "replace")) if text.startswith(b"{") else _token(raw)


def _usage(raw: msgspec.Raw) -> Usage | None:
    wire = _attempt(_decode_usage, raw)
    if wire is None:
        return None
    prompt, answer = wire.prompt_tokens_details, wire.completion_tokens_details
    sent, received = wire.prompt_tokens, wire.completion_tokens
    return Usage(
        input_tokens=sent,
        cached_input_tokens=(prompt and prompt.cached_tokens) or 0,
        output_tokens=received,
        reasoning_output_tokens=(answer and answer.reasoning_tokens) or 0,
        total_tokens=sent + received if wire.total_tokens is None else wire.total_tokens,
    )


def _complaint(payload: bytes) -> ResponseFailed | None:
    """Return the error that a payload without an answer tells of, in the forms that servers use."""
    chunk = _attempt(_decode_object, payload) or {}
    error = chunk.get("error") or (chunk if chunk.get("object") == "error" else None)
    if isinstance(error, str):
        return ResponseFailed(error)
    if not isinstance(error, dict):
        return None
    code = next((name for name in (error.get("code"), error.get("type")) if isinstance(name, str)), None)
    return ResponseFailed(_text(error.get("message")), code)
