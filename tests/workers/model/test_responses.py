"""Responses API events: what a model streams is understood, and nothing that a server sends can break the reader."""

import json
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.items import JsonObject
from greenroom.protocol.jsontext import mended
from greenroom.workers.model.outcome.finish import UNKNOWN_REASON, UNREADABLE
from greenroom.workers.model.responses import (
    CLOSED_TEXT,
    FAILED_TEXT,
    OTHER_API_TEXT,
    Completed,
    ItemDone,
    ModelEvent,
    ReasoningDelta,
    ReasoningSummaryDelta,
    ResponseFailed,
    ResponsesDecoder,
    ResponseUsage,
    SearchBegun,
    SectionBreak,
    TextDelta,
)

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


def payload(kind: str, **members: object) -> bytes:
    return json.dumps({"type": kind, **members}).encode()


def decode(*payloads: bytes) -> list[ModelEvent]:
    return ResponsesDecoder().decode(list(payloads))


def delta(raw: bytes) -> bytes:
    return b'{"type":"response.output_text.delta","item_id":"msg_1","delta":' + raw + b',"logprobs":[]}'


def test_deltas_keep_the_bytes_that_the_server_wrote() -> None:
    for raw in (b'"Hi"', b'""', rb'"a\u00e9\n\ud83d\ude00"', '"é 😀"'.encode(), rb'"\\ud800"'):
        assert decode(delta(raw)) == [TextDelta(raw)]


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("response.output_text.delta", TextDelta(b'"x"')),
        ("response.reasoning_summary_text.delta", ReasoningSummaryDelta(b'"x"')),
        ("response.reasoning_text.delta", ReasoningDelta(b'"x"')),
        ("response.reasoning_summary_part.added", SectionBreak()),
    ],
)
def test_each_kind_of_delta_is_told_apart(kind: str, event: ModelEvent) -> None:
    assert decode(payload(kind, delta="x")) == [event]


def test_only_a_search_of_the_web_is_told_when_it_begins() -> None:
    added = "response.output_item.added"
    search = {"type": "web_search_call", "id": "ws_1", "status": "in_progress"}
    others: list[object] = [{"type": "message", "id": "msg_1"}, {"type": "web_search_call"}, None, 5]
    assert decode(payload(added, item=search), *(payload(added, item=item) for item in others)) == [SearchBegun("ws_1")]


@pytest.mark.parametrize("raw", [b"1", b"null", b"{}", b'["x"]', b"x", b'"x', b'"a\nb"'])
def test_delta_that_is_no_string_is_passed_over(raw: bytes) -> None:
    assert decode(delta(raw), delta(b'"on"')) == [TextDelta(b'"on"')]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb'"a\ud83d"', "a\ufffd"),
        (rb'"\ude00b"', "\ufffdb"),
        (rb'"\ud83d\u0041"', "\ufffdA"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (b'"a\xff"', "a\ufffd"),
        (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd"),
    ],
)
def test_broken_text_is_mended(raw: bytes, text: str) -> None:
    (event,) = decode(delta(raw))
    assert json.loads(cast("TextDelta", event).raw) == text


@given(st.binary(max_size=40))
def test_whatever_is_passed_on_as_delta_is_one_line_of_valid_json(junk: bytes) -> None:
    for event in decode(delta(b'"' + junk + b'"'), delta(junk)):
        assert isinstance(event, TextDelta)
        assert b"\n" not in event.raw
        assert isinstance(msgspec.json.decode(event.raw), str)


@given(TEXTS)
def test_mending_leaves_good_text_alone(text: str) -> None:
    for encoded in (json.dumps(text).encode(), json.dumps(text, ensure_ascii=False).encode()):
        assert mended(encoded) == encoded


@given(st.lists(st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()), max_size=8))
def test_junk_between_events_does_no_harm(junk: list[bytes]) -> None:
    decoder = ResponsesDecoder()
    assert [event for event in decoder.decode([*junk, delta(b'"x"')]) if isinstance(event, TextDelta)]


@given(
    st.sampled_from(
        ["response.completed", "response.failed", "response.incomplete", "response.output_item.done", "error"]
    ),
    JSON,
    JSON,
)
def test_no_content_of_an_event_breaks_the_reader(kind: str, response: object, inner: object) -> None:
    for content in (response, {"error": inner, "usage": inner, "id": inner, "incomplete_details": inner}):
        decoder = ResponsesDecoder()
        events = decoder.decode([payload(kind, response=content, item=content, error=content)])
        assert decoder.ended == bool(events and isinstance(events[-1], Completed | ResponseFailed))
        assert all(isinstance(event, ResponseFailed) for event in decoder.end())
        assert decoder.ended


def test_deeply_nested_json_is_passed_over() -> None:
    deep = b'{"type":"response.output_item.done","item":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    decoder = ResponsesDecoder()
    assert decoder.decode([deep]) == []
    assert decoder.skipped == 1


def test_finished_item_is_handed_over_as_it_is() -> None:
    call: JsonObject = {"type": "function_call", "id": "1", "name": "x", "arguments": "{}", "call_id": "2", "new": 3}
    assert decode(payload("response.output_item.done", item=call)) == [ItemDone(call)]


def test_item_of_an_unknown_type_is_handed_over() -> None:
    item: JsonObject = {"type": "novelty", "x": 1}
    assert decode(payload("response.output_item.done", item=item)) == [ItemDone(item)]


@pytest.mark.parametrize(
    "item", [{"type": "function_call", "name": "shell", "arguments": "{}"}, {"type": "message"}, None, 5]
)
def test_item_that_lacks_what_its_type_needs_is_an_error(item: object) -> None:
    decoder = ResponsesDecoder()
    (failed,) = decoder.decode([payload("response.output_item.done", item=item), payload("response.completed")])
    assert isinstance(failed, ResponseFailed)
    assert failed.code == UNREADABLE
    assert decoder.ended


def test_item_with_broken_text_is_mended() -> None:
    item = rb'{"type":"message","role":"assistant","content":[{"text":"\ud800"}]}'
    (event,) = decode(b'{"type":"response.output_item.done","item":' + item + b"}")
    assert cast("ItemDone", event).item["content"] == [{"text": "\ufffd"}]


def test_completion_ends_the_response() -> None:
    usage = {
        "input_tokens": 900,
        "input_tokens_details": {"cached_tokens": 128, "cache_write_tokens": 7},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 920,
    }
    decoder = ResponsesDecoder()
    completed = payload("response.completed", response={"id": "r1", "usage": usage, "output": []})
    assert decoder.decode([delta(b'"x"'), completed, delta(b'"late"')]) == [
        TextDelta(b'"x"'),
        Completed("r1", ResponseUsage(900, 128, 7, 20, 5, 920), end_turn=True),
    ]
    assert decoder.ended
    assert decoder.decode([completed]) == []


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        ("many", None),
        ({"input_tokens": 1, "output_tokens": 2}, ResponseUsage(1, 0, 0, 2, 0, 3)),
        (
            {"input_tokens": 1, "output_tokens": 2, "input_tokens_details": None, "total_tokens": None},
            ResponseUsage(1, 0, 0, 2, 0, 3),
        ),
        (
            {
                "input_tokens": 1,
                "output_tokens": 2,
                "output_tokens_details": {"reasoning_tokens": None},
                "total_tokens": 9,
            },
            ResponseUsage(1, 0, 0, 2, 0, 9),
        ),
    ],
)
def test_usage_may_lack_details(usage: object, expected: ResponseUsage | None) -> None:
    (event,) = decode(payload("response.completed", response={"id": "r1", "usage": usage}))
    assert cast("Completed", event).usage == expected


def test_server_may_ask_for_another_request() -> None:
    (event,) = decode(payload("response.completed", response={"id": "r1", "end_turn": False}))
    assert event == Completed("r1", None, end_turn=False)


def test_completion_without_anything_counts() -> None:
    assert decode(payload("response.completed")) == [Completed("", None, end_turn=True)]


@pytest.mark.parametrize(
    ("payload_", "expected"),
    [
        (
            payload("response.failed", response={"error": {"code": "rate_limit_exceeded", "message": "slow"}}),
            ResponseFailed("slow", "rate_limit_exceeded"),
        ),
        (payload("response.failed", response={"error": {"code": "x"}}), ResponseFailed("", "x")),
        (payload("response.failed", response={"error": None}), ResponseFailed(FAILED_TEXT)),
        (payload("response.failed"), ResponseFailed(FAILED_TEXT)),
        (
            payload("response.incomplete", response={"incomplete_details": {"reason": "max_output_tokens"}}),
            ResponseFailed("Incomplete response returned, reason: max_output_tokens", "length"),
        ),
        (
            payload("response.incomplete", response={"incomplete_details": {"reason": "content_filter"}}),
            ResponseFailed("Incomplete response returned, reason: content_filter", "content_filter"),
        ),
        (
            payload("response.incomplete", response={"incomplete_details": {"reason": "novelty"}}),
            ResponseFailed("Incomplete response returned, reason: novelty", UNKNOWN_REASON),
        ),
        (
            payload("response.incomplete", response={"incomplete_details": {"reason": "stop"}}),
            ResponseFailed("Incomplete response returned, reason: stop", UNKNOWN_REASON),
        ),
        (
            payload("response.incomplete", response={"incomplete_details": {"reason": "server_error"}}),
            ResponseFailed("Incomplete response returned, reason: server_error"),
        ),
        (
            payload("response.incomplete"),
            ResponseFailed("Incomplete response returned, reason: unknown", UNKNOWN_REASON),
        ),
        (
            payload(
                "response.completed", response={"status": "incomplete", "incomplete_details": {"reason": "length"}}
            ),
            ResponseFailed("Incomplete response returned, reason: length", "length"),
        ),
        (
            payload("response.completed", response={"status": "failed", "error": {"code": "x", "message": "no"}}),
            ResponseFailed("no", "x"),
        ),
        (payload("response.cancelled"), ResponseFailed("the response was cancelled by the server")),
    ],
)
def test_failure_ends_the_response(payload_: bytes, expected: ResponseFailed) -> None:
    decoder = ResponsesDecoder()
    assert decoder.decode([payload_, delta(b'"late"')]) == [expected]
    assert decoder.ended


def test_end_of_a_stream_without_completion_is_a_failure() -> None:
    decoder = ResponsesDecoder()
    decoder.decode([delta(b'"x"')])
    assert decoder.end() == [ResponseFailed(CLOSED_TEXT)]


@pytest.mark.parametrize(
    "complaint",
    [
        payload("error", code="server_error", message="out of memory"),
        payload("error", error={"type": "server_error", "message": "out of memory"}),
        b'{"error":{"code":500,"type":"server_error","message":"out of memory"}}',
    ],
)
def test_error_event_explains_the_end_of_the_stream(complaint: bytes) -> None:
    decoder = ResponsesDecoder()
    assert decoder.decode([complaint]) == []
    assert not decoder.ended
    (failed,) = decoder.end()
    assert isinstance(failed, ResponseFailed)
    assert failed.message == "out of memory"


ANSWER: JsonObject = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]}
CALL: JsonObject = {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c"}


def test_response_that_was_not_streamed_is_read_as_a_whole() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2}
    response = {"id": "r1", "object": "response", "status": "completed", "output": [ANSWER, CALL], "usage": usage}
    assert decode(json.dumps(response).encode()) == [
        ItemDone(ANSWER),
        ItemDone(CALL),
        Completed("r1", ResponseUsage(1, 0, 0, 2, 0, 3), end_turn=True),
    ]
    cut = {**response, "status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    (failed,) = decode(json.dumps(cut).encode())
    assert isinstance(failed, ResponseFailed)
    assert failed.code == "content_filter"


def test_items_that_no_event_told_of_are_taken_from_the_end() -> None:
    done, ended = payload("response.output_item.done", item=ANSWER), {"id": "r", "output": [ANSWER, CALL]}
    completed = Completed("r", None, end_turn=True)
    assert decode(payload("response.completed", response=ended)) == [ItemDone(ANSWER), ItemDone(CALL), completed]
    assert decode(done, payload("response.completed", response=ended)) == [ItemDone(ANSWER), completed]


def test_answer_of_the_other_api_is_named() -> None:
    decoder = ResponsesDecoder()
    assert decoder.decode([b'{"object":"chat.completion.chunk","choices":[]}']) == [
        ResponseFailed(OTHER_API_TEXT, UNREADABLE)
    ]
