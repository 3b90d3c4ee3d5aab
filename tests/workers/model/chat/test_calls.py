"""Chat completions: calls come together from whatever pieces a server makes of them."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.items import JsonObject
from greenroom.workers.model.chat.completion import ChatDecoder
from greenroom.workers.model.outcome.finish import UNREADABLE
from greenroom.workers.model.responses import (
    ResponseFailed,
)
from tests.workers.model.chat.streams import (
    DONE,
    TEXTS,
    Json,
    call,
    call_chunk,
    chunk,
    completed,
    decode,
    fragment,
    items,
    message,
    reasoning,
)


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
