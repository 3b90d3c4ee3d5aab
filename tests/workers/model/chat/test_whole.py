"""Chat completions: whole streams as servers write them; nothing that comes can break the reader."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.items import is_known_item
from greenroom.workers.model.outcome.finish import UNREADABLE
from greenroom.workers.model.responses import (
    Completed,
    ItemDone,
    ModelEvent,
    ResponseFailed,
    ResponseUsage,
    TextDelta,
)
from greenroom.workers.model.transport.sse import SseDecoder
from tests.workers.model.chat.streams import (
    DONE,
    JSON,
    call,
    chunk,
    completed,
    decode,
    decoder,
    items,
    message,
    reasoning,
)

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
    assert all(is_known_item(item) for item in items(events))


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
