"""What a model says in one chat completion, free of I/O: payloads in, the events of `responses` out.

Rules that it enforces, so that a shorter answer never counts as the whole one:

* `[DONE]` or the end of the body ends an answer, nothing else: what follows a reason to finish counts. The end of the
  body alone will do only after a reason, `[DONE]` alone only if something was said.
* A reason to finish is one of those that `finish` knows as good ones, or the answer has failed. Of several the worst
  counts.
* What is in no known form is an error that quotes it. Unknown members of a known form are kept (`chat_members`).
* Items come out at the end: the reasoning, one message, then the calls in the order they began in.
* Text is passed on as the JSON string that the server wrote, under the same promise as in `responses`.

A payload is a chunk of a stream, or the object of an answer that was not streamed.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeVar
from uuid import uuid4

import msgspec

from greenroom.protocol.items import JsonObject
from greenroom.protocol.jsontext import mended
from greenroom.workers.model.chat.calls import Calls
from greenroom.workers.model.chat.content import (
    UNREADABLE,
    UnreadableError,
    decoded_content,
    read_content,
    read_text,
    read_thought,
    shown_content,
    token,
)
from greenroom.workers.model.chat.members import DETAILS, MEMBER, THOUGHTS, is_empty, is_kept, joined
from greenroom.workers.model.outcome.error_body import find_complaint
from greenroom.workers.model.outcome.finish import UNREADABLE as UNREADABLE_CODE
from greenroom.workers.model.outcome.finish import cut_short, is_calling, reason_named
from greenroom.workers.model.responses import (
    Completed,
    Decode,
    ItemDone,
    ModelEvent,
    ReasoningDelta,
    ResponseFailed,
    ResponseUsage,
    TextDelta,
)

CLOSED_TEXT: Final = "stream closed before the answer was complete"
NO_ANSWER: Final = "the server sent neither an answer nor a reason to finish"
NO_CALL: Final = "the server said that the model calls a tool, and sent no call"


class _Choice(msgspec.Struct, gc=False):
    index: object = None
    delta: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()
    text: msgspec.Raw = msgspec.Raw()
    finish_reason: object = None
    error: msgspec.Raw = msgspec.Raw()


class _Chunk(msgspec.Struct, gc=False):
    """Members are decoded only where they hold something."""

    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


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

_NULL: Final = msgspec.Raw(b"null")
_NOTHING: Final = (b"", b"null")
_OTHER_ANSWERS: Final = ("message", "delta", "content", "text", "response", "output", "candidates", "completion")
"""Members that hold the answer in other APIs."""
_ONLY_TEXT: Final = re.compile(
    rb'\{\s*(?:"role"\s*:\s*"assistant"\s*,\s*)?"content"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")\s*\}', re.DOTALL
).fullmatch
"""Finds the text of the commonest delta, which then need not be decoded."""

_decode_chunk: Final[Decode[_Chunk]] = msgspec.json.Decoder(_Chunk).decode
_decode_members: Final[Decode[dict[str, msgspec.Raw]]] = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_usage: Final[Decode[_Usage]] = msgspec.json.Decoder(_Usage, strict=False).decode
_decode_text: Final[Decode[str]] = msgspec.json.Decoder(str).decode


def new_call_id() -> str:
    """Return an id for a call to which the server gave none."""
    return f"call_{uuid4().hex}"


class ChatDecoder:
    """Reads one answer (`greenroom.workers.model.codec.Decoder`)."""

    def __init__(self, new_id: Callable[[], str] = new_call_id) -> None:
        self._texts: list[bytes] = []
        self._thoughts: list[bytes] = []
        self._spelled: dict[str, list[bytes]] = {}
        """The texts of the members that hold reasoning, each under its name."""
        self._members: JsonObject = {}
        """What else the server said of the message."""
        self._calls = Calls(new_id)
        self._usage: ResponseUsage | None = None
        self._choice: object = None
        """Index of the choice that is read; no other was asked for."""
        self._reason = ""
        self._parts = 0
        """Counts what the model said."""
        self._goes_on = True
        """No reason to finish has stood alone behind all that was said."""
        self._whole = False
        """The message came in one piece."""
        self._ended = False

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
                self._read(payload, events)
            except UnreadableError as error:
                self._fail(ResponseFailed(str(error), UNREADABLE_CODE), events)
        return events

    def end(self, *, broken: bool = False) -> list[ModelEvent]:
        """Return what it means that the stream ends here: nothing if the answer was over before.

        A connection that broke off ends an answer only after a reason to finish that stood alone behind all that was
        said. Reasons beside a text are no sign of the end: some servers give one with every chunk.
        """
        events: list[ModelEvent] = []
        if self._ended:
            return events
        if self._reason and not (broken and self._goes_on):
            self._conclude(events)
        else:
            self._fail(ResponseFailed(CLOSED_TEXT), events)
        return events

    def _read(self, payload: bytes, events: list[ModelEvent]) -> None:
        try:
            chunk = _decode_chunk(payload)
        except UNREADABLE:
            self._read_unusual(payload, events)
        else:
            self._take(chunk, payload, events)

    def _read_unusual(self, payload: bytes, events: list[ModelEvent]) -> None:
        text = payload.strip()
        if text in (b"", b"null"):
            return
        if text.strip(b'"') == b"[DONE]":
            self._conclude(events)
            return
        text = mended(text)
        if (chunk := _attempt(_decode_chunk, text)) is not None:
            self._take(chunk, text, events)
            return
        try:
            value = decoded_content(text)
        except UnreadableError:
            # It may have been garbled on its way: the request is worth repeating.
            self._fail(ResponseFailed(f"an event of the answer is no JSON: {shown_content(text)}"), events)
            return
        self._refuse(value, text, events)

    def _refuse(self, value: object, payload: bytes, events: list[ModelEvent]) -> None:
        """Take a payload that is no chunk: an error of the server, or a form that is not known."""
        complaint = find_complaint(value)
        if complaint is None:
            raise UnreadableError(f"an event of the answer has a form that is not known: {shown_content(payload)}")
        self._fail(ResponseFailed(complaint.message, complaint.cause), events)

    def _take(self, chunk: _Chunk, payload: bytes, events: list[ModelEvent]) -> None:
        if (not chunk.choices or chunk.error) and self._has_complaint(payload, events):
            return
        for choice in chunk.choices or ():
            index = choice.index or 0
            if (index == self._choice or self._choice is None) and not self._ended:
                self._choice = index
                self._take_choice(choice, events)
        if chunk.usage and chunk.usage != _NULL:
            self._usage = _usage(chunk.usage) or self._usage

    def _has_complaint(self, payload: bytes, events: list[ModelEvent]) -> bool:
        value = decoded_content(payload)
        complaint = find_complaint(value)
        if complaint is not None:
            self._fail(ResponseFailed(complaint.message, complaint.cause), events)
        elif _is_foreign(value):
            raise UnreadableError(f"the server answers in the form of another API: {shown_content(payload)}")
        return complaint is not None

    def _take_choice(self, choice: _Choice, events: list[ModelEvent]) -> None:
        before = self._parts
        if choice.delta and (only := _ONLY_TEXT(choice.delta)) is not None:
            self._emit_text(token(only[1]), events)
        elif choice.delta != _NULL and choice.delta:
            self._take_members(bytes(choice.delta), events)
        if choice.message or choice.text or choice.error:
            self._take_rare(choice, events)
        if self._parts != before:
            self._goes_on = True
        if choice.finish_reason is not None and not self._ended and (reason := reason_named(choice.finish_reason)):
            self._goes_on = self._parts != before or not self._parts
            self._finish(reason, events)

    def _take_rare(self, choice: _Choice, events: list[ModelEvent]) -> None:
        """Take what a choice may have instead of a delta, or beside it."""
        if choice.error and (complaint := find_complaint({"error": decoded_content(bytes(choice.error))})) is not None:
            self._fail(ResponseFailed(complaint.message, complaint.cause), events)
            return
        is_copy = bool(choice.delta) and choice.delta != _NULL
        if choice.message and choice.message != _NULL:
            if not is_copy or choice.finish_reason:
                self._take_message(bytes(choice.message), events, is_copy=is_copy)
        elif choice.text and not is_copy:
            self._emit_text(read_text(bytes(choice.text), "text"), events)

    def _take_message(self, message: bytes, events: list[ModelEvent], *, is_copy: bool) -> None:
        """Take a whole message. Where it was streamed too, it says the same again."""
        if not (self._texts or self._thoughts or self._calls or self._spelled):
            self._take_members(message, events, whole=True)
            self._whole = not is_copy
            return
        members = _members(message)
        if not len(self._calls) and "tool_calls" in members:
            self._take_calls(decoded_content(bytes(members["tool_calls"])), whole=True)
        text = _joined([said.token for said in read_content(bytes(members.get("content", b""))) if not said.is_thought])
        if not is_copy and text not in ("", _joined(self._texts)):
            raise UnreadableError("the answer came in pieces and as a whole, and the two differ")

    def _take_members(self, raw: bytes, events: list[ModelEvent], *, whole: bool = False) -> None:
        members = _members(raw)
        self._think(members, events)
        for said in read_content(bytes(members["content"])) if "content" in members else ():
            if said.is_thought:
                self._show_thought(said.token, events)
            else:
                self._emit_text(said.token, events)
        if "refusal" in members:
            self._emit_text(read_text(bytes(members["refusal"]), "refusal"), events)
        if "tool_calls" in members:
            self._take_calls(decoded_content(bytes(members["tool_calls"])), whole=whole)
        if "function_call" in members:
            self._parts += 1
            self._calls.take_function(decoded_content(bytes(members["function_call"])))
        for name in filter(is_kept, members):
            self._keep(name, decoded_content(bytes(members[name])))

    def _take_calls(self, fragments: object, *, whole: bool) -> None:
        self._parts += bool(fragments)
        self._calls.take(fragments, whole=whole)

    def _think(self, members: dict[str, msgspec.Raw], events: list[ModelEvent]) -> None:
        """Take the reasoning under all its names, and show it once."""
        thought = b""
        for name in THOUGHTS:
            raw = bytes(members.get(name, b""))
            if raw in _NOTHING:
                continue
            if raw.startswith(b'"'):
                self._spelled.setdefault(name, []).append(token(raw) or b'""')
            else:
                self._keep(name, decoded_content(raw))
            thought = thought or read_thought(raw)
        if not thought and (details := bytes(members.get(DETAILS, b""))) not in _NOTHING:
            thought = read_thought(details)
        if thought:
            self._show_thought(thought, events)

    def _show_thought(self, thought: bytes, events: list[ModelEvent]) -> None:
        self._parts += 1
        self._thoughts.append(thought)
        events.append(ReasoningDelta(thought))

    def _emit_text(self, text: bytes, events: list[ModelEvent]) -> None:
        if not text:
            return
        if self._whole:
            raise UnreadableError(f"the answer goes on after it came as a whole: {shown_content(text)}")
        self._parts += 1
        self._texts.append(text)
        events.append(TextDelta(text))

    def _keep(self, name: str, value: object) -> None:
        if not is_empty(value):
            self._members[name] = joined(name, self._members.get(name), value)

    def _finish(self, reason: str, events: list[ModelEvent]) -> None:
        if (cut := cut_short(reason)) is not None:
            self._fail(ResponseFailed(cut.message, cut.code), events)
        elif not is_calling(self._reason):
            self._reason = reason

    def _conclude(self, events: list[ModelEvent]) -> None:
        """Take the end of the stream, as far as it is a good one."""
        if not self._reason and not (self._texts or self._thoughts or self._calls):
            self._fail(ResponseFailed(NO_ANSWER), events)
        elif is_calling(self._reason) and not self._calls:
            self._fail(ResponseFailed(NO_CALL), events)
        else:
            events.extend(map(ItemDone, self._items()))
            self._ended = True
            events.append(Completed("", self._usage, end_turn=True))

    def _fail(self, failed: ResponseFailed, events: list[ModelEvent]) -> None:
        self._ended = True
        events.append(failed)

    def _items(self) -> Iterator[JsonObject]:
        thought, members = _joined(self._thoughts), self._kept_members()
        if thought or members:
            content: list[JsonObject] = [{"type": "reasoning_text", "text": thought}] if thought else []
            reasoning: JsonObject = {"type": "reasoning", "summary": [], "content": content}
            yield {**reasoning, MEMBER: members} if members else reasoning
        if self._texts:
            content = [{"type": "output_text", "text": _joined(self._texts)}]
            yield {"type": "message", "role": "assistant", "content": content}
        yield from self._calls.items()

    def _kept_members(self) -> JsonObject:
        """Return what goes back, an empty thought too: servers that demand the member do not ask what is in it."""
        thought = _joined(self._thoughts)
        texts = {name: _joined(tokens) for name, tokens in self._spelled.items()}
        return {**{name: None if text == thought else text for name, text in texts.items()}, **self._members}


def _is_foreign(value: object) -> bool:
    """Tell whether an object that is no chunk holds an answer all the same."""
    found = value if isinstance(value, dict) and "choices" not in value else {}
    return any(not is_empty(found.get(name)) for name in _OTHER_ANSWERS)


def _members(raw: bytes) -> dict[str, msgspec.Raw]:
    members = _attempt(_decode_members, raw) or _attempt(_decode_members, mended(raw))
    if members is None and raw.strip() != b"{}":
        raise UnreadableError(f"a message of the answer has a form that is not known: {shown_content(raw)}")
    return members or {}


def _attempt(decode: Decode[T], text: bytes | msgspec.Raw) -> T | None:
    try:
        return decode(text)
    except UNREADABLE:
        return None


def _joined(tokens: list[bytes]) -> str:
    return _decode_text(b'"' + b"".join(part[1:-1] for part in tokens) + b'"')


def _usage(raw: msgspec.Raw) -> ResponseUsage | None:
    wire = _attempt(_decode_usage, raw)
    if wire is None:
        return None
    prompt, answer = wire.prompt_tokens_details, wire.completion_tokens_details
    sent, received = wire.prompt_tokens, wire.completion_tokens
    return ResponseUsage(
        input_tokens=sent,
        cached_input_tokens=(prompt and prompt.cached_tokens) or 0,
        output_tokens=received,
        reasoning_output_tokens=(answer and answer.reasoning_tokens) or 0,
        total_tokens=sent + received if wire.total_tokens is None else wire.total_tokens,
    )
