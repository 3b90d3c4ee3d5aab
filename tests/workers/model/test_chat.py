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
from greenroom.workers.model.chat import CLOSED_TEXT, CUT_SHORT, ChatDecoder
from greenroom.workers.model.responses import (
    Completed,
    ItemDone,
    ModelEvent,
    ReasoningDelta,
    ResponseFailed,
    TextDelta,
    Usage,
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


def reasoning(text: str) -> JsonObject:
    return {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}


def call(name: str, arguments: str, call_id: str) -> JsonObject:
    return {"type": "function_call", "name": name, "arguments": arguments, "call_id": call_id}


def completed(usage: Usage | None = None) -> Completed:
    return Completed("", usage, end_turn=True)


# Text


def test_text_is_passed_on_as_the_server_wrote_it_and_comes_again_as_a_message() -> None:
    first, second = rb'{"choices":[{"delta":{"content":"a\u00e9\n"}}]}', chunk({"content": "b"})
    assert decode(first, second, chunk(finish="stop"), usage_chunk(), DONE) == [
        TextDelta(rb'"a\u00e9\n"'),
        TextDelta(b'"b"'),
        ItemDone(message("aé\nb")),
        completed(Usage(input_tokens=9, output_tokens=4, total_tokens=13)),
    ]


@pytest.mark.parametrize("content", [None, "", 1, {}, ["x"]])
def test_content_without_text_is_no_delta(content: object) -> None:
    assert decode(chunk({"role": "assistant", "content": content})) == []


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
    "delta",
    [
        {"reasoning": "hm"},
        {"reasoning_content": "hm"},
        {"reasoning_content": "hm", "reasoning": "hm"},
        {"reasoning": {"text": "hm"}},
        {"reasoning": {"text": "", "content": "hm"}},
    ],
)
def test_reasoning_has_several_names(delta: Json) -> None:
    assert decode(chunk(delta), chunk({"content": "x"}), DONE) == [
        ReasoningDelta(b'"hm"'),
        TextDelta(b'"x"'),
        ItemDone(reasoning("hm")),
        ItemDone(message("x")),
        completed(),
    ]


@given(st.lists(TEXTS, max_size=8), st.booleans())
def test_message_is_what_the_deltas_add_up_to(texts: list[str], ascii_only: bool) -> None:
    chunks = [
        json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=ascii_only).encode() for text in texts
    ]
    events = decode(*chunks, DONE)
    told = "".join(msgspec.json.decode(event.raw) for event in events if isinstance(event, TextDelta))
    assert told == "".join(texts)
    assert items(events) == ([message(told)] if told else [])


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
        ([call_chunk(fragment(0, {"x": 1}, id="a", name="one"))], [call("one", '{"x": 1}', "a")]),
        ([call_chunk(fragment(0, id="a", name="one"))], [call("one", "{}", "a")]),
        ([call_chunk(fragment(0, '{"x":', id="a"))], [call("", '{"x":', "a")]),
        ([chunk({"tool_calls": None}), chunk({"tool_calls": []}), call_chunk(fragment(0, ""))], []),
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
        "nothing",
    ],
)
def test_calls_of_all_servers_are_understood(payloads: list[bytes], expected: list[JsonObject]) -> None:
    events = decode(*payloads, chunk(finish="tool_calls"), DONE)
    assert items(events) == expected
    assert events[-1] == completed()


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
    assert items(events) == [reasoning("y"), message("x"), call("one", "{}", "a")]


def test_made_up_ids_are_never_the_same() -> None:
    payloads = [call_chunk(fragment(0, "{}", name="one"), fragment(1, "{}", name="two")), DONE]
    ids = [item["call_id"] for _ in range(2) for item in items(ChatDecoder().decode(payloads))]
    assert len(set(ids)) == 4


# Ends


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call", "eos"])
def test_items_come_with_the_reason_to_finish_and_completion_with_what_ends_the_stream(reason: str) -> None:
    ends: list[Callable[[ChatDecoder], ModelEvent]] = [
        lambda some: some.decode([DONE])[0],
        lambda some: some.decode([usage_chunk()])[0],
        lambda some: some.end(),
    ]
    for end in ends:
        some = decoder()
        assert items(some.decode([chunk({"content": "x"}), chunk(finish=reason)])) == [message("x")]
        assert not some.ended
        assert isinstance(end(some), Completed)
        assert some.ended
        assert some.decode([chunk({"content": "late"}), DONE]) == []


def test_usage_beside_the_reason_to_finish_completes_the_answer() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    assert decode(chunk({"content": "x"}, "stop", usage=usage))[-1] == completed(
        Usage(input_tokens=1, output_tokens=2, total_tokens=3)
    )


def test_an_answer_that_is_cut_off_is_a_failure() -> None:
    some = decoder()
    some.decode([chunk({"content": "x"})])
    assert some.end() == ResponseFailed(CLOSED_TEXT)


@pytest.mark.parametrize("reason", CUT_SHORT)
def test_an_answer_that_the_server_cut_short_is_a_failure(reason: str) -> None:
    some = decoder()
    assert some.decode([chunk({"content": "x"}, reason), DONE]) == [TextDelta(b'"x"'), CUT_SHORT[reason]]
    assert some.ended


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
        ({}, Usage(9, 0, 0, 4, 0, 13)),
        ({"prompt_tokens_details": None, "completion_tokens_details": {}}, Usage(9, 0, 0, 4, 0, 13)),
        (
            {
                "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(9, 5, 0, 4, 3, 13),
        ),
    ],
)
def test_usage_is_that_of_the_responses_api(details: Json, expected: Usage) -> None:
    assert decode(chunk(finish="stop"), usage_chunk(**details)) == [completed(expected)]


@pytest.mark.parametrize("usage", [None, {}, 1, {"prompt_tokens": None}])
def test_usage_that_is_none_counts_nothing(usage: object) -> None:
    assert decode(chunk(finish="stop", usage=usage), DONE) == [completed()]


# Anything else


def means_something(data: bytes) -> bool:
    return any(word in data for word in (DONE, b"error", b"choices", b"usage"))


JUNK = (st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode())).filter(
    lambda data: not means_something(data)
)


@given(st.lists(JUNK, max_size=8))
def test_junk_between_chunks_does_no_harm(junk: list[bytes]) -> None:
    events = decode(*junk, chunk({"content": "x"}), DONE)
    assert events[-2:] == [ItemDone(message("x")), completed()]


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


def test_unreadable_payloads_are_counted() -> None:
    some = decoder()
    assert some.decode([b"{", b'{"choices":' + b"[" * 100_000, b'{"choices":[{"delta":7}]}']) == []
    assert some.skipped == 3


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
    return [event for piece in pieces for event in some.decode(sse.feed(piece))]


@pytest.mark.parametrize("server", STREAMS)
def test_streams_of_known_servers_are_understood(server: str) -> None:
    events = read(STREAMS[server].encode(), [])
    found = items(events)
    assert found[-2:] == [message("I look."), call("shell", '{"command":["ls"]}', "call_1")]
    assert found[:-2] == ([] if server == "OpenAI" else [reasoning("Files?")])
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
        reasoning("\nFiles?\n"),
        message("\n\nI look."),
        call("shell", json.dumps({"command": ["echo", "grün 🌱"]}), "69492512-490f-4027-b452-845fe4fa8185_tool_call_0"),
    ]
    assert last == completed(Usage(input_tokens=11, output_tokens=71, total_tokens=82))


def test_error_that_a_server_writes_as_no_json_is_told_when_the_stream_ends() -> None:
    some = decoder()
    events = some.decode(SseDecoder().feed((SAMPLES / "transformers-unreadable-error.sse").read_bytes()))
    assert all(isinstance(event, TextDelta) for event in events)
    said = '{"error": "json parser could not parse region as JSON.'
    assert some.end() == ResponseFailed(f"{CLOSED_TEXT}: {said}")


def test_unreadable_payload_that_others_follow_is_no_reason_for_the_end() -> None:
    some = decoder()
    some.decode([b"junk", chunk({"content": "x"})])
    assert some.end() == ResponseFailed(CLOSED_TEXT)
