"""Chat completions as servers stream them: their pieces, and what the reader makes of them."""

import itertools
import json
from typing import Any, TypeAlias

from hypothesis import strategies as st

from greenroom.protocol.items import JsonObject
from greenroom.workers.model.chat.completion import ChatDecoder
from greenroom.workers.model.responses import (
    Completed,
    ItemDone,
    ModelEvent,
    ResponseUsage,
)

Json: TypeAlias = dict[str, object]
DONE = b"[DONE]"
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


def chunk(delta: object = None, finish: object = None, **members: object) -> bytes:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice], **members}).encode()


def usage_chunk(sent: int = 9, received: int = 4, **details: Any) -> bytes:
    usage = {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received, **details}
    return json.dumps({"choices": [], "usage": usage}).encode()


def call_chunk(*fragments: Json) -> bytes:
    return chunk({"tool_calls": list(fragments)})


def fragment(index: object = None, arguments: object = None, **members: object) -> Json:
    function = {name: members.pop(name) for name in ("name",) if name in members}
    if arguments is not None:
        function["arguments"] = arguments
    return {**({} if index is None else {"index": index}), **members, "function": function}


def decoder() -> ChatDecoder:
    ids = itertools.count(1)
    return ChatDecoder(lambda: f"made-up-{next(ids)}")


def decode(*payloads: bytes) -> list[ModelEvent]:
    return decoder().decode(list(payloads))


def items(events: list[ModelEvent]) -> list[JsonObject]:
    return [event.item for event in events if isinstance(event, ItemDone)]


def message(text: str) -> JsonObject:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def reasoning(text: str, **members: object) -> JsonObject:
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"type": "reasoning", "summary": [], "content": content, **({"chat": members} if members else {})}


def call(name: str, arguments: str, call_id: str) -> JsonObject:
    return {"type": "function_call", "name": name, "arguments": arguments, "call_id": call_id}


def completed(usage: ResponseUsage | None = None) -> Completed:
    return Completed("", usage, end_turn=True)
