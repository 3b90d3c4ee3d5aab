"""Chat completions: every server's way of streaming an answer gives the same events, and none can break the reader."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.items import JsonObject, is_known
from greenroom.workers.model.chat import CLOSED_TEXT, NO_ANSWER, NO_CALL, ChatDecoder
from greenroom.workers.model.finish import CUT_SHORT, GOOD, UNKNOWN_REASON, UNREADABLE, is_calling
from greenroom.workers.model.responses import (
    Completed,
    ItemDone,
    ModelEvent,
    ReasoningDelta,
    ResponseFailed,
    ResponseUsage,
    TextDelta,
)
from greenroom.workers.model.sse import SseDecoder

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


def has_ended(some: ChatDecoder) -> bool:
    return some.ended


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


# Text


def test_text_is_passed_on_as_the_server_wrote_it_and_comes_again_as_a_message() -> None:
    first, second = rb'{"choices":[{"delta":{"content":"a\u00e9\n"}}]}', chunk({"content": "b"})
    assert decode(first, second, chunk(finish="stop"), usage_chunk(), DONE) == [
        TextDelta(rb'"a\u00e9\n"'),
        TextDelta(b'"b"'),
        ItemDone(message("aé\nb")),
        completed(ResponseUsage(input_tokens=9, output_tokens=4, total_tokens=13)),
    ]


@pytest.mark.parametrize("content", [None, "", {}, [], [""], [{"type": "text", "text": ""}], [{"type": "reference"}]])
def test_content_without_text_is_no_delta(content: object) -> None:
    assert decode(chunk({"role": "assistant", "content": content})) == []


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "hello"}],
        [{"type": "text", "text": "hel"}, {"type": "output_text", "text": "lo"}],
        ["hel", {"text": "lo"}],
        {"type": "text", "text": "hello"},
        {"text": "hello"},
        [{"type": "text", "text": {"value": "hello"}}],
        [{"type": "refusal", "refusal": "hello"}],
        [{"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "hello"}],
    ],
)
def test_content_may_be_parts(content: object) -> None:
    events = decode(chunk({"content": content}), chunk({"content": " world"}), chunk(finish="stop"), DONE)
    assert items(events) == [message("hello world")]


@pytest.mark.parametrize(
    "thinking",
    ["hm", [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}], [{"type": "thinking", "thinking": "hm"}]],
)
def test_parts_may_hold_the_reasoning(thinking: object) -> None:
    content = [{"type": "thinking", "thinking": thinking, "closed": True}, {"type": "text", "text": "x"}]
    assert items(decode(chunk({"content": content}), DONE)) == [reasoning("hm"), message("x")]


@pytest.mark.parametrize(
    "content",
    [1, 0, True, 1.5, [1], [[1]], {"value": "x"}, [{"type": "novelty", "text": "x"}], [{"type": "text"}],
     [{"type": "text", "text": 5}], [{"type": "image_url", "image_url": "x"}], [{"type": 5}]],
)  # fmt: skip
def test_content_that_cannot_be_read_is_an_error(content: object) -> None:
    *_, failed = decode(chunk({"content": "so far"}), chunk({"content": content}), chunk(finish="stop"), DONE)
    assert isinstance(failed, ResponseFailed)
    assert failed.code == UNREADABLE


@pytest.mark.parametrize(
    ("raw", "text"), [(rb'"a\ud83d"', "a\ufffd"), (b'"a\xff"', "a\ufffd"), ('"é😀"'.encode(), "é😀")]
)
def test_broken_text_is_mended(raw: bytes, text: str) -> None:
    delta, done, _ = decode(b'{"choices":[{"delta":{"content":' + raw + b"}}]}", DONE)
    assert json.loads(cast("TextDelta", delta).raw) == text
    assert cast("ItemDone", done).item == message(text)


def test_refusal_is_told_as_text() -> None:
    assert items(decode(chunk({"refusal": "I "}), chunk({"refusal": "will not."}), DONE)) == [message("I will not.")]


@pytest.mark.parametrize(
    ("delta", "kept"),
    [
        ({"reasoning": "hm"}, {"reasoning": None}),
        ({"reasoning_content": "hm"}, {"reasoning_content": None}),
        ({"reasoning_text": "hm"}, {"reasoning_text": None}),
        ({"reasoning_content": "hm", "reasoning": "hm"}, {"reasoning_content": None, "reasoning": None}),
        ({"reasoning_content": "hm", "reasoning": "m"}, {"reasoning_content": None, "reasoning": "m"}),
        ({"reasoning": {"text": "hm"}}, {"reasoning": {"text": "hm"}}),
        ({"reasoning": {"text": "", "content": "hm"}}, {"reasoning": {"text": "", "content": "hm"}}),
        ({"reasoning_details": [{"text": "hm"}]}, {"reasoning_details": [{"text": "hm"}]}),
    ],
)
def test_reasoning_has_several_names_and_is_kept_under_each(delta: Json, kept: Json) -> None:
    assert decode(chunk(delta), chunk({"content": "x"}), DONE) == [
        ReasoningDelta(b'"hm"'),
        TextDelta(b'"x"'),
        ItemDone(reasoning("hm", **kept)),
        ItemDone(message("x")),
        completed(),
    ]


def test_members_of_the_message_that_nobody_reads_are_kept_as_the_server_wrote_them() -> None:
    sealed = {"type": "reasoning.encrypted", "data": "c2Vj", "index": 1, "id": "rs_1"}
    found = decode(
        chunk(
            {
                "role": "assistant",
                "reasoning": "I ",
                "reasoning_details": [{"type": "reasoning.text", "text": "I ", "index": 0}],
            }
        ),
        chunk({"reasoning": "do", "reasoning_details": [{"type": "reasoning.text", "text": "do", "index": 0}]}),
        chunk({"reasoning_details": [{"type": "reasoning.text", "signature": "sig", "index": 0}, sealed]}),
        chunk({"reasoning_details": [sealed], "novelty": {"a": "x", "n": 1}}),
        chunk({"novelty": {"a": "y", "n": 2}, "annotations": [1], "empty": [], "none": None}),
        DONE,
    )
    details = [{"type": "reasoning.text", "text": "I do", "index": 0, "signature": "sig"}, sealed, sealed]
    kept = {"reasoning": None, "reasoning_details": details, "novelty": {"a": "xy", "n": 2}}
    assert items(found) == [reasoning("I do", **kept)]


def test_members_without_a_thought_are_kept_too() -> None:
    assert items(decode(chunk({"content": "x", "extra_content": {"s": "t"}}), DONE)) == [
        reasoning("", extra_content={"s": "t"}),
        message("x"),
    ]


def test_empty_thought_is_kept_too_and_one_that_is_null_is_not() -> None:
    empty, nothing = chunk({"reasoning_content": ""}), chunk({"reasoning_content": None})
    assert items(decode(empty, chunk({"content": "x"}), DONE)) == [reasoning("", reasoning_content=None), message("x")]
    assert items(decode(nothing, chunk({"content": "x"}), DONE)) == [message("x")]


def test_members_of_calls_are_kept_with_them() -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    function = {"name": "one", "arguments": "{}", "novelty": 1}
    found = items(decode(chunk({"tool_calls": [{"id": "a", "extra_content": extra, "function": function}]}), DONE))
    assert found == [{**call("one", "{}", "a"), "chat": {"extra_content": extra, "function": {"novelty": 1}}}]


@given(st.lists(TEXTS, max_size=8), st.booleans())
def test_message_is_what_the_deltas_add_up_to(texts: list[str], ascii_only: bool) -> None:
    chunks = [
        json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=ascii_only).encode() for text in texts
    ]
    events = decode(*chunks, DONE)
    told = "".join(msgspec.json.decode(event.raw) for event in events if isinstance(event, TextDelta))
    assert told == "".join(texts)
    assert items(events) == ([message(told)] if told else [])


UNKNOWN = st.dictionaries(TEXTS.map("x_{}".format), JSON, max_size=3)


@given(st.lists(st.tuples(TEXTS, UNKNOWN, UNKNOWN, UNKNOWN), min_size=1, max_size=6), st.data())
def test_unknown_members_never_make_an_answer_shorter(
    pieces: list[tuple[str, Json, Json, Json]], data: st.DataObject
) -> None:
    forms: list[Callable[[str], object]] = [
        str,
        lambda text: [{"type": "text", "text": text}],
        lambda text: {"text": text},
    ]
    payloads = []
    for text, in_delta, in_choice, in_chunk in pieces:
        delta = {**in_delta, "content": data.draw(st.sampled_from(forms))(text)}
        finish = data.draw(st.sampled_from([None, "stop"]))
        choice = {**in_choice, "index": 0, "delta": delta, "finish_reason": finish}
        payloads.append(json.dumps({**in_chunk, "choices": [choice]}).encode())
    events = decode(*payloads, DONE)
    assert items(events)[-1] == message("".join(text for text, *_ in pieces))
    assert isinstance(events[-1], Completed)


@given(st.lists(st.tuples(TEXTS, JSON), min_size=1, max_size=4), TEXTS)
def test_whatever_content_is_either_read_or_an_error(pieces: list[tuple[str, object]], last: str) -> None:
    """A text around content of any form: it comes out whole, or the answer has failed."""
    payloads = [one for text, odd in pieces for one in (chunk({"content": text}), chunk({"content": odd}))]
    events = decode(*payloads, chunk({"content": last}, "stop"), DONE)
    if isinstance(events[-1], Completed):
        odd_texts = ["".join(event for event in [_plain(odd)]) for _, odd in pieces]
        expected = "".join(text + odd for (text, _), odd in zip(pieces, odd_texts, strict=True)) + last
        assert items(events)[-1] == message(expected)


def _plain(content: object) -> str:
    """Return the text of content that has nothing but texts in it."""
    match content:
        case str():
            return content
        case list():
            return "".join(map(_plain, content))
        case {"text": str(text)}:
            return text
        case _:
            assert not content
            return ""


# Calls


@pytest.mark.parametrize(
    ("payloads", "expected"),
    [
        (
            [
                call_chunk(fragment(0, "", id="a", name="shell", type="function")),
                call_chunk(fragment(0, '{"x"')),
                call_chunk(fragment(0, ":1}")),
            ],
            [call("shell", '{"x":1}', "a")],
        ),
        (
            [
                call_chunk(fragment(0, "{", id="a", name="one"), fragment(1, "[", id="b", name="two")),
                call_chunk(fragment(1, "]"), fragment(0, "}")),
            ],
            [call("one", "{}", "a"), call("two", "[]", "b")],
        ),
        (
            [call_chunk(fragment(0, "{}", id="a", name="one"), fragment(0, '{"y":2}', id="b", name="one"))],
            [call("one", "{}", "a"), call("one", '{"y":2}', "b")],
        ),
        (
            [call_chunk(fragment(0, '{"x":1}', id="", name="one"), fragment(0, '{"x":1}', id="", name="one"))],
            [call("one", '{"x":1}', "made-up-1"), call("one", '{"x":1}', "made-up-2")],
        ),
        (
            [
                call_chunk(fragment(None, "{}", id="a", name="one")),
                call_chunk(fragment(None, "{}", id="b", name="two")),
            ],
            [call("one", "{}", "a"), call("two", "{}", "b")],
        ),
        (
            [call_chunk(fragment(None, '{"x"', name="one")), call_chunk(fragment(None, ":1}"))],
            [call("one", '{"x":1}', "made-up-1")],
        ),
        (
            [call_chunk(fragment(0, "{", id="a", name="one")), call_chunk(fragment(0, "}", id="other"))],
            [call("one", "{}", "a")],
        ),
        (
            [call_chunk(fragment(0, "{", id="a", name="one")), call_chunk(fragment(0, "}", id="a", name="one"))],
            [call("one", "{}", "a")],
        ),
        (
            [call_chunk(fragment(0, "{}", id="a", name="one"), fragment(1, "{}", id="a", name="two"))],
            [call("one", "{}", "a"), call("two", "{}", "made-up-1")],
        ),
        ([call_chunk(fragment(0, {"x": 1}, id="a", name="one"))], [call("one", '{"x":1}', "a")]),
        ([call_chunk(fragment(0, id="a", name="one"))], [call("one", "{}", "a")]),
        ([call_chunk(fragment(0, '{"x":', id="a"))], [call("", '{"x":', "a")]),
        (
            [call_chunk(fragment("0", '{"x"', id="a", name="one")), call_chunk(fragment(0.0, ":1}"))],
            [call("one", '{"x":1}', "a")],
        ),
        ([chunk({"tool_calls": fragment(0, "{}", id="a", name="one")})], [call("one", "{}", "a")]),
        ([chunk({"tool_calls": [None, {"id": "a", "name": "one", "arguments": {}}]})], [call("one", "{}", "a")]),
        (
            [chunk({"tool_calls": [{"id": 7, "function": {"name": "one", "parameters": "{}"}}]})],
            [call("one", "{}", "7")],
        ),
        (
            [
                chunk({"function_call": {"name": "one", "arguments": '{"x"'}}),
                chunk({"function_call": {"arguments": ":1}"}}),
            ],
            [call("one", '{"x":1}', "made-up-1")],
        ),
        (
            [
                call_chunk(fragment(0, id="a", name="apply")),
                call_chunk(fragment(0, name="_patch")),
                call_chunk(fragment(0, "{}")),
            ],
            [call("apply_patch", "{}", "a")],
        ),
        (
            [call_chunk(fragment(0, id="a", name="app")), call_chunk(fragment(0, "{}", id="a", name="apply"))],
            [call("apply", "{}", "a")],
        ),
        (
            [call_chunk(fragment(0, '{"x":1}', id="a", name="one"))] * 2,
            [call("one", '{"x":1}', "a")],
        ),
    ],
    ids=[
        "in fragments",
        "in parallel",
        "one index for all, told apart by id",
        "one index and no ids",
        "no index",
        "no index and no id",
        "a new id in each fragment",
        "everything repeated",
        "one id for two",
        "arguments as an object",
        "no arguments",
        "no name, broken arguments",
        "index as a text or a number with a point",
        "one that is in no list",
        "flat, with an object",
        "id as a number, parameters",
        "of former times",
        "name in pieces",
        "name that grows",
        "whole call twice",
    ],
)
def test_calls_of_all_servers_are_understood(payloads: list[bytes], expected: list[JsonObject]) -> None:
    events = decode(*payloads, chunk(finish="tool_calls"), DONE)
    assert items(events) == expected
    assert events[-1] == completed()


@pytest.mark.parametrize("nothing", [None, [], [None], [{"index": 0, "function": {"arguments": ""}}]])
def test_no_calls_are_no_calls(nothing: object) -> None:
    assert items(decode(chunk({"tool_calls": nothing, "content": "x"}), DONE)) == [message("x")]


@pytest.mark.parametrize(
    "calls",
    [
        5,
        "x",
        True,
        [5],
        ["x"],
        [{"function": "one"}],
        [{"function": {"name": ["one"]}}],
        [{"function": {"name": "one", "arguments": [1]}}],
        [{"function": {"name": "one", "arguments": True}}],
        [{"index": "first", "function": {"name": "one"}}],
        [{"index": [0], "function": {"name": "one"}}],
        [{"id": {}, "function": {"name": "one"}}],
        [{"type": "custom", "custom": {"name": "one", "input": "x"}}],
        [fragment(0, "{", id="a", name="one"), fragment(0, "}", id="a", name="two")],
        [fragment(0, {"x": 1}, id="a", name="one"), fragment(0, {"y": 1}, id="a")],
    ],
)
def test_call_that_cannot_be_read_is_an_error(calls: object) -> None:
    *_, failed = decode(chunk({"tool_calls": calls, "content": "x"}), chunk(finish="tool_calls"), DONE)
    assert isinstance(failed, ResponseFailed)
    assert failed.code == UNREADABLE


@given(st.data())
def test_fragments_of_parallel_calls_may_come_in_any_mixture(data: st.DataObject) -> None:
    expected = data.draw(st.lists(TEXTS.map(lambda text: json.dumps({"x": text})), min_size=1, max_size=4))
    queues: list[list[Json]] = []
    for index, arguments in enumerate(expected):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(arguments)), max_size=4)))
        pieces = [arguments[start:end] for start, end in itertools.pairwise([0, *cuts, len(arguments)])]
        begin = fragment(index, "", id=f"id{index}", name=f"tool{index}")
        queues.append([begin, *(fragment(index, piece) for piece in pieces)])
    mixed = [queue.pop(0) for queue in queues]
    while any(queues):
        mixed.append(data.draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    several = data.draw(st.booleans())
    payloads = [call_chunk(*mixed)] if several else [call_chunk(one) for one in mixed]
    assert items(decode(*payloads, DONE)) == [
        call(f"tool{index}", arguments, f"id{index}") for index, arguments in enumerate(expected)
    ]


def test_reasoning_then_text_then_calls_whatever_came_first() -> None:
    events = decode(
        call_chunk(fragment(0, "{}", id="a", name="one")), chunk({"content": "x"}), chunk({"reasoning": "y"}), DONE
    )
    assert items(events) == [reasoning("y", reasoning=None), message("x"), call("one", "{}", "a")]


def test_made_up_ids_are_never_the_same() -> None:
    payloads = [call_chunk(fragment(0, "{}", name="one"), fragment(1, "{}", name="two")), DONE]
    ids = [item["call_id"] for _ in range(2) for item in items(ChatDecoder().decode(payloads))]
    assert len(set(ids)) == 4


# Ends


@pytest.mark.parametrize("reason", ["stop", "STOP", "FINISH_REASON_STOP", "eos", "end_turn", "COMPLETE"])
def test_what_ends_the_stream_ends_the_answer(reason: str) -> None:
    ends: list[Callable[[ChatDecoder], list[ModelEvent]]] = [lambda some: some.decode([DONE]), lambda some: some.end()]
    for end in ends:
        some = decoder()
        assert some.decode([chunk({"content": "x"}), chunk(finish=reason), usage_chunk()]) == [TextDelta(b'"x"')]
        assert not has_ended(some)
        assert end(some) == [ItemDone(message("x")), completed(ResponseUsage(9, 0, 0, 4, 0, 13))]
        assert has_ended(some)
        assert some.decode([chunk({"content": "late"}), DONE]) == []
        assert some.end() == []


def test_what_follows_a_reason_to_finish_counts() -> None:
    events = decode(chunk({"content": "one "}, "stop"), usage_chunk(), chunk({"content": "two"}, "stop"), DONE)
    assert items(events) == [message("one two")]
    late = decode(chunk({"content": "x"}, "stop"), call_chunk(fragment(0, "{}", id="a", name="one")), DONE)
    assert items(late) == [message("x"), call("one", "{}", "a")]


def test_of_several_reasons_the_worst_counts() -> None:
    for reasons in (["stop", "length"], ["length", "stop"], ["tool_calls", "length"]):
        failed = decode(*(chunk({"content": "x"}, reason) for reason in reasons), DONE)[-1]
        assert failed == ResponseFailed(*CUT_SHORT["length"])
    assert decode(chunk({"content": "x"}, "tool_calls"), chunk(finish="stop"), DONE)[-1] == ResponseFailed(NO_CALL)


def test_usage_beside_the_reason_to_finish_is_taken() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    assert decode(chunk({"content": "x"}, "stop", usage=usage), DONE)[-1] == completed(
        ResponseUsage(input_tokens=1, output_tokens=2, total_tokens=3)
    )


def test_an_answer_that_is_cut_off_is_a_failure() -> None:
    some = decoder()
    some.decode([chunk({"content": "x"})])
    assert some.end() == [ResponseFailed(CLOSED_TEXT)]


@pytest.mark.parametrize(
    ("payloads", "is_whole"),
    [
        ([chunk({"content": "x"}), chunk(finish="stop")], True),
        ([chunk({"content": "x"}), chunk({"content": ""}, "stop"), usage_chunk()], True),
        ([call_chunk(fragment(0, "{}", id="a", name="one")), chunk(finish="tool_calls")], True),
        ([chunk({"content": "x"}, "stop")], False),
        ([chunk({"content": "x"}), chunk(finish="stop"), chunk({"content": "y"}, "stop")], False),
        ([chunk({"content": "x"}), chunk(finish="stop"), chunk({"content": "y"})], False),
        ([call_chunk(fragment(0, "{}", id="a", name="one")), chunk({"tool_calls": [fragment(0, " ")]}, "stop")], False),
        ([chunk({"role": "assistant"}, "stop")], False),
        ([chunk({"content": "x"})], False),
    ],
)
def test_a_connection_that_breaks_off_ends_only_what_had_ended(payloads: list[bytes], is_whole: bool) -> None:
    some = decoder()
    some.decode(payloads)
    last = some.end(broken=True)[-1]
    assert isinstance(last, Completed) if is_whole else last == ResponseFailed(CLOSED_TEXT)


def test_an_end_without_answer_and_reason_is_a_failure() -> None:
    assert decode(chunk({"role": "assistant", "content": ""}), DONE) == [ResponseFailed(NO_ANSWER)]
    assert decode(chunk({"content": "x"}), DONE)[-1] == completed()
    assert decode(chunk({"content": ""}, "stop"), DONE) == [completed()]


@pytest.mark.parametrize("reason", sorted(CUT_SHORT))
@pytest.mark.parametrize("spelling", [str, str.upper, "FINISH_REASON_{}".format])
def test_an_answer_that_the_server_cut_short_is_a_failure(reason: str, spelling: Callable[[str], str]) -> None:
    some = decoder()
    events = some.decode([chunk({"content": "x"}, spelling(reason)), DONE])
    assert events == [TextDelta(b'"x"'), ResponseFailed(*CUT_SHORT[reason])]
    assert some.ended


@given(JSON.filter(lambda value: str(value).strip().lower() not in GOOD | CUT_SHORT.keys() | {"", "null", "none"}))
def test_an_unknown_reason_is_an_error_that_names_it(reason: object) -> None:
    if reason is False:
        return
    *_, failed = decode(chunk({"content": "x"}, reason), chunk(finish="stop"), DONE)
    assert isinstance(failed, ResponseFailed)
    assert failed.code == UNKNOWN_REASON
    assert str(reason).strip()[:20] in failed.message


@pytest.mark.parametrize("reason", sorted(filter(is_calling, GOOD)))
def test_a_reason_that_promises_a_call_needs_one(reason: str) -> None:
    assert decode(chunk({"content": "x"}), chunk(finish=reason), DONE)[-1] == ResponseFailed(NO_CALL)


# A message that comes in one piece


def whole(*messages: object, finish: object = "stop") -> bytes:
    choices = [{"message": one, "finish_reason": finish} for one in messages]
    return json.dumps({"object": "chat.completion", "choices": choices, "usage": {"prompt_tokens": 1}}).encode()


def test_answer_that_was_not_streamed_is_read() -> None:
    calls = [
        {"id": "a", "function": {"name": "one", "arguments": "{}"}},
        {"function": {"name": "one", "arguments": "{}"}},
    ]
    said = {"role": "assistant", "reasoning_content": "hm", "content": "hello", "tool_calls": calls}
    some = decoder()
    assert some.decode([whole(said, finish="tool_calls")]) == [ReasoningDelta(b'"hm"'), TextDelta(b'"hello"')]
    *found, last = some.end()
    assert items(found) == [
        reasoning("hm", reasoning_content=None),
        message("hello"),
        call("one", "{}", "a"),
        call("one", "{}", "made-up-1"),
    ]
    assert isinstance(last, Completed)


def test_one_answer_may_be_spread_over_choices() -> None:
    calls = [{"id": "a", "function": {"name": "one", "arguments": "{}"}}]
    events = decode(whole({"content": "hello"}, {"content": None, "tool_calls": calls}, finish="tool_calls"), DONE)
    assert items(events) == [message("hello"), call("one", "{}", "a")]


def test_other_choices_are_other_answers() -> None:
    choices = [{"index": index, "delta": {"content": text}} for index, text in ((0, "x"), (1, "y"), (0, "z"))]
    assert items(decode(json.dumps({"choices": choices}).encode(), DONE)) == [message("xz")]


def test_nothing_comes_after_a_failure_within_a_chunk() -> None:
    choices = [{"delta": {"content": "x"}, "finish_reason": "length"}, {"delta": {"content": "y"}}]
    assert decode(json.dumps({"choices": choices}).encode()) == [
        TextDelta(b'"x"'),
        ResponseFailed(*CUT_SHORT["length"]),
    ]


def test_stream_may_say_at_its_end_all_that_it_said() -> None:
    pieces = [chunk({"content": "hel"}), chunk({"content": "lo"})]
    assert items(decode(*pieces, whole({"content": "hello"}), DONE)) == [message("hello")]
    *_, failed = decode(*pieces, whole({"content": "hello world"}), DONE)
    assert isinstance(failed, ResponseFailed)
    assert failed.code == UNREADABLE


def test_copy_of_what_was_said_so_far_is_not_said_again() -> None:
    choice: Json = {"delta": {"content": "x"}, "message": {"content": "x"}}
    first, second = ({"choices": [{**choice, "finish_reason": finish}]} for finish in (None, "stop"))
    assert items(decode(json.dumps(first).encode(), json.dumps(second).encode(), DONE)) == [message("xx")]


def test_pieces_after_the_whole_are_an_error() -> None:
    *_, failed = decode(whole({"content": "hello"}), chunk({"content": " world"}), DONE)
    assert isinstance(failed, ResponseFailed)
    assert failed.code == UNREADABLE


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"error":{"code":500,"message":"no","type":"server_error"}}', ResponseFailed("no", "server_error")),
        (b'{"error":{"code":"rate_limit_exceeded","message":"slow"}}', ResponseFailed("slow", "rate_limit_exceeded")),
        (
            b'{"object":"error","message":"no","type":"BadRequestError","code":400}',
            ResponseFailed("no", "BadRequestError"),
        ),
        (b'{"error":"no"}', ResponseFailed("no")),
        (
            b'[{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED"}}]',
            ResponseFailed("no", "RESOURCE_EXHAUSTED"),
        ),
        (b'{"error":{"code":429,"message":"no"}}', ResponseFailed("no", "429")),
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"no"}}',
            ResponseFailed("no", "overloaded_error"),
        ),
        (b'{"detail":"no"}', ResponseFailed("no")),
        (b'{"message":"no","code":"x"}', ResponseFailed("no", "x")),
        (b'{"choices":null,"error":{"message":"no"}}', ResponseFailed("no")),
        (b'{"choices":[],"base_resp":{"status_code":1004,"status_msg":"no"}}', ResponseFailed("no", "1004")),
        (b'{"choices":[{"finish_reason":"error","error":{"code":502,"message":"no"}}]}', ResponseFailed("no", "502")),
        (chunk({"content": "x"}, "error", error={"message": "no"}), ResponseFailed("no")),
    ],
)
def test_an_error_in_the_stream_ends_it(payload: bytes, expected: ResponseFailed) -> None:
    some = decoder()
    assert some.decode([payload, chunk({"content": "late"})]) == [expected]
    assert some.ended


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({}, ResponseUsage(9, 0, 0, 4, 0, 13)),
        ({"prompt_tokens_details": None, "completion_tokens_details": {}}, ResponseUsage(9, 0, 0, 4, 0, 13)),
        (
            {
                "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            ResponseUsage(9, 5, 0, 4, 3, 13),
        ),
    ],
)
def test_usage_is_that_of_the_responses_api(details: dict[str, Any], expected: ResponseUsage) -> None:
    assert decode(chunk(finish="stop"), usage_chunk(**details), DONE) == [completed(expected)]


@pytest.mark.parametrize("usage", [None, {}, 1, {"prompt_tokens": None}])
def test_usage_that_is_none_counts_nothing(usage: object) -> None:
    assert decode(chunk(finish="stop", usage=usage), DONE) == [completed()]


# Anything else


@pytest.mark.parametrize(
    "harmless",
    [b"", b" ", b"null", b"{}", b'{"type":"ping"}', b'{"choices":[],"prompt_filter_results":[]}', b'{"error":null}'],
)
def test_payloads_that_say_nothing_do_no_harm(harmless: bytes) -> None:
    events = decode(harmless, chunk({"content": "x"}), harmless, chunk(finish="stop"), harmless, DONE)
    assert items(events) == [message("x")]


@pytest.mark.parametrize(
    "foreign",
    [
        b'{"message":{"role":"assistant","content":"x"},"done":false}',
        b'{"type":"content_block_delta","delta":{"text":"x"}}',
        b'{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}',
        b'{"content":"x","stop":false}',
        b'{"type":"response.output_text.delta","delta":"x"}',
        b'{"response":"x","done":true}',
        b"5",
        b'"x"',
        b'["x"]',
        b'{"choices":5}',
        b'{"choices":[null]}',
        b'{"choices":{"delta":{"content":"x"}}}',
        b'{"choices":[{"delta":7}]}',
        b'{"choices":[{"delta":"x"}]}',
        b'{"choices":[{"text":{"x":1}}]}',
    ],
)
def test_form_that_is_not_known_is_an_error(foreign: bytes) -> None:
    *_, failed = decode(chunk({"content": "so far"}), foreign, chunk(finish="stop"), DONE)
    assert isinstance(failed, ResponseFailed)
    assert failed.code == UNREADABLE


JUNK = st.binary(min_size=1, max_size=30).filter(lambda data: data.strip() not in (b"", b"null", DONE))


@given(st.lists(JUNK, min_size=1, max_size=4))
def test_junk_is_never_passed_over(junk: list[bytes]) -> None:
    assert isinstance(decode(chunk({"content": "x"}), *junk, DONE)[-1], ResponseFailed)


@given(JSON, JSON, JSON)
def test_no_content_of_a_chunk_breaks_the_reader(first: object, second: object, third: object) -> None:
    some = decoder()
    fragments: object = [{"index": first, "id": second, "function": third}, {"function": {"name": first}}, second]
    events = some.decode(
        [
            chunk({"content": first, "reasoning": second, "tool_calls": third, "refusal": first}),
            chunk({"tool_calls": fragments}),
            chunk({"tool_calls": [{"index": first, "id": second, "function": {"arguments": third, "name": "x"}}]}),
            chunk(first, second, usage=third),
            json.dumps({"choices": first, "usage": second, "error": third}).encode(),
            DONE,
        ]
    )
    assert some.ended
    assert isinstance(events[-1], Completed | ResponseFailed)
    assert all(is_known(item) for item in items(events))


@pytest.mark.parametrize("broken", [b"{", b'{"choices":' + b"[" * 100_000, b'{"choices":[{"delta":{"content":"x'])
def test_payload_that_is_no_json_is_quoted_by_an_error_after_which_it_is_tried_again(broken: bytes) -> None:
    (failed,) = decode(broken)
    assert failed == ResponseFailed(f"an event of the answer is no JSON: {broken[:80].decode()}")


# Whole streams, as servers write them

OPENAI = """\
data: {"id":"chatcmpl-B9","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[{"index":0,"delta":\
{"role":"assistant","content":null,"refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-B9","choices":[{"index":0,"delta":{"content":"I look."},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-B9","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function",\
"function":{"name":"shell","arguments":""}}]},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-B9","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":\
"{\\"command\\":"}}]},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-B9","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":\
"[\\"ls\\"]}"}}]},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-B9","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":null}

data: {"id":"chatcmpl-B9","choices":[],"usage":{"prompt_tokens":80,"completion_tokens":20,"total_tokens":100,\
"prompt_tokens_details":{"cached_tokens":64,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}

data: [DONE]

"""
LLAMA_CPP = """\
data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":1,"id":"x"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"reasoning_content":"Files?"}}],"created":1,"id":"x"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"I look."}}],"created":1,"id":"x"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function",\
"function":{"name":"shell","arguments":"{"}}]}}],"created":1,"id":"x"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":\
"\\"command\\":[\\"ls\\"]}"}}]}}],"created":1,"id":"x"}

data: {"choices":[{"finish_reason":"tool_calls","index":0,"delta":{}}],"created":1,"id":"x"}

data: {"choices":[],"created":1,"id":"x","usage":{"completion_tokens":20,"prompt_tokens":80,"total_tokens":100},\
"timings":{"prompt_n":80}}

data: [DONE]

"""
VLLM = """\
data: {"id":"chatcmpl-9","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null}]}

data: {"id":"chatcmpl-9","choices":[{"index":0,"delta":{"reasoning":"Files?","reasoning_content":"Files?"}}]}

data: {"id":"chatcmpl-9","choices":[{"index":0,"delta":{"content":"I look."},"stop_reason":null}]}

data: {"id":"chatcmpl-9","choices":[{"index":0,"delta":{"tool_calls":[{"id":"call_1","type":"function","index":0,\
"function":{"name":"shell"}}]}}]}

data: {"id":"chatcmpl-9","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":\
"{\\"command\\":[\\"ls\\"]}"}}]}}]}

data: {"id":"chatcmpl-9","choices":[{"index":0,"delta":{"content":""},"finish_reason":"tool_calls","stop_reason":1}]}

data: {"id":"chatcmpl-9","choices":[],"usage":{"prompt_tokens":80,"total_tokens":100,"completion_tokens":20}}

data: [DONE]

"""
OLLAMA = """\
data: {"id":"chatcmpl-7","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"Files?"},\
"finish_reason":null}]}

data: {"id":"chatcmpl-7","choices":[{"index":0,"delta":{"role":"assistant","content":"I look."},"finish_reason":null}]}

data: {"id":"chatcmpl-7","choices":[{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[{"id":"call_1",\
"index":0,"type":"function","function":{"name":"shell","arguments":"{\\"command\\":[\\"ls\\"]}"}}]},\
"finish_reason":null}]}

data: {"id":"chatcmpl-7","choices":[{"index":0,"delta":{"role":"assistant","content":""},\
"finish_reason":"tool_calls"}]}

data: {"id":"chatcmpl-7","choices":[],"usage":{"prompt_tokens":80,"completion_tokens":20,"total_tokens":100}}

data: [DONE]

"""
SAMPLES = Path(__file__).parent / "samples"
"""Recorded from `transformers serve` 5.23 with a model of two layers."""

STREAMS = {"OpenAI": OPENAI, "llama.cpp": LLAMA_CPP, "vLLM": VLLM, "Ollama": OLLAMA}


def read(stream: bytes, cuts: list[int]) -> list[ModelEvent]:
    sse, some = SseDecoder(), decoder()
    pieces = [stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)])]
    events = [event for piece in pieces for event in some.decode(sse.feed(piece))]
    return [*events, *some.decode(sse.end()), *some.end()]


@pytest.mark.parametrize("server", STREAMS)
def test_streams_of_known_servers_are_understood(server: str) -> None:
    events = read(STREAMS[server].encode(), [])
    found = items(events)
    assert found[-2:] == [message("I look."), call("shell", '{"command":["ls"]}', "call_1")]
    thoughts = [{**item, "chat": None} for item in found[:-2]]
    assert thoughts == ([] if server == "OpenAI" else [{**reasoning("Files?"), "chat": None}])
    last = events[-1]
    assert isinstance(last, Completed)
    assert last.usage is not None
    assert last.usage.total_tokens == 100


@given(st.sampled_from(sorted(STREAMS)), st.data())
def test_where_a_stream_is_cut_makes_no_difference(server: str, data: st.DataObject) -> None:
    stream = STREAMS[server].encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    assert read(stream, cuts) == read(stream, [])


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_recorded_answer_of_a_server_that_sends_neither_usage_of_its_own_nor_done_is_complete(size: int) -> None:
    stream = (SAMPLES / "transformers-call.sse").read_bytes()
    *_, thought, text, called, last = read(stream, list(range(size, len(stream), size)))
    assert [event.item for event in (thought, text, called) if isinstance(event, ItemDone)] == [
        reasoning("\nFiles?\n", reasoning_content=None),
        message("\n\nI look."),
        call("shell", json.dumps({"command": ["echo", "grün 🌱"]}), "69492512-490f-4027-b452-845fe4fa8185_tool_call_0"),
    ]
    assert last == completed(ResponseUsage(input_tokens=11, output_tokens=71, total_tokens=82))


def test_error_that_a_server_writes_as_no_json_is_told() -> None:
    some = decoder()
    *deltas, failed = some.decode(SseDecoder().feed((SAMPLES / "transformers-unreadable-error.sse").read_bytes()))
    assert all(isinstance(event, TextDelta) for event in deltas)
    said = '{"error": "json parser could not parse region as JSON.'
    assert failed == ResponseFailed(f"an event of the answer is no JSON: {said}")


def test_last_event_needs_no_empty_line() -> None:
    stream = b"data: " + chunk({"content": "one "}, "stop") + b"\n\ndata: " + chunk({"content": "two"}, "stop")
    assert items(read(stream, [])) == [message("one two")]
    assert read(stream[:-3], [])[-1] != completed()
