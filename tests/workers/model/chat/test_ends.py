"""Chat completions: every way in which an answer ends, also in one piece, and what each means."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from greenroom.workers.model.chat.completion import CLOSED_TEXT, NO_ANSWER, NO_CALL, ChatDecoder
from greenroom.workers.model.outcome.finish import CUT_SHORT, GOOD, UNKNOWN_REASON, UNREADABLE, is_calling
from greenroom.workers.model.responses import (
    Completed,
    ItemDone,
    ModelEvent,
    ReasoningDelta,
    ResponseFailed,
    ResponseUsage,
    TextDelta,
)
from tests.workers.model.chat.streams import (
    DONE,
    JSON,
    Json,
    call,
    call_chunk,
    chunk,
    completed,
    decode,
    decoder,
    fragment,
    items,
    message,
    reasoning,
    usage_chunk,
)


def has_ended(some: ChatDecoder) -> bool:
    return some.ended


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
