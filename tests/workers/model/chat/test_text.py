"""Chat completions: text, reasoning and refusals come through whichever way a server streams them."""

import json
from collections.abc import Callable
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.outcome.finish import UNREADABLE
from greenroom.workers.model.responses import (
    Completed,
    ItemDone,
    ReasoningDelta,
    ResponseFailed,
    ResponseUsage,
    TextDelta,
)
from tests.workers.model.chat.streams import (
    DONE,
    JSON,
    TEXTS,
    Json,
    call,
    chunk,
    completed,
    decode,
    items,
    message,
    reasoning,
    usage_chunk,
)


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
