"""Server-sent events: every payload arrives once and whole, however the stream is cut."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.workers.model.transport.sse import MAX_EVENT, SseDecoder

LINE_ENDS = ("\n", "\r\n", "\r")
LINES = st.one_of(
    st.sampled_from(
        [
            "",
            "",
            ":",
            ": ping",
            "data",
            "data:",
            "data: ",
            "data:  two",
            "datax: no",
            "event: e",
            "id",
            "retry: 3",
            " data: no",
        ]
    ),
    st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12),
    st.text(alphabet='{}":ab ü', max_size=12).map("data: {}".format),
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(LINE_ENDS)), max_size=24).map(
    lambda lines: "".join(line + end for line, end in lines).encode()
)


def reference(stream: bytes) -> list[bytes]:
    """Decode a whole stream line by line, as the standard words it."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    payloads: list[bytes] = []
    data: list[bytes] = []
    for line in lines[:-1]:
        if not line:
            if data:
                payloads.append(b"\n".join(data))
            data = []
            continue
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
    return payloads


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def decode(chunks: list[bytes], limit: int = MAX_EVENT) -> list[bytes]:
    decoder = SseDecoder(limit)
    return [payload for chunk in chunks for payload in decoder.feed(chunk)]


@given(STREAMS, st.lists(st.integers(min_value=0), max_size=12), st.booleans())
@example(b"data: a\r\n\r\n", [7, 8, 9, 10], False)
@example(b"data: a\ndata: b\n\n", [], False)
@example(b"data: a\n\n\ndata: b\n\n", [9], True)
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2], False)
def test_any_split_gives_what_the_standard_says(stream: bytes, places: list[int], mark: bool) -> None:
    stream = (b"\xef\xbb\xbf" if mark else b"") + stream
    assert decode(cut(stream, places)) == reference(stream)


@given(STREAMS)
def test_single_bytes_give_what_the_whole_gives(stream: bytes) -> None:
    assert decode([bytes([byte]) for byte in stream]) == decode([stream])


def test_usual_events_are_cut() -> None:
    stream = b'event: one\ndata: {"a":1}\n\ndata: {"b":2}\n\n: ping\n\nid: 7\ndata:{"c":3}\n\n'
    assert decode([stream]) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_data_lines_are_joined() -> None:
    assert decode([b"data: one\ndata:two\ndata\n\n"]) == [b"one\ntwo\n"]


def test_unterminated_event_is_discarded() -> None:
    assert decode([b"data: done\n\ndata: half\n"]) == [b"done"]


def test_payload_is_not_waited_for_longer_than_needed() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\r\n\r") == [b"a"]
    assert decoder.feed(b"\ndata: b\r\n\r\n") == [b"b"]


def test_event_over_many_chunks_is_joined_once() -> None:
    decoder = SseDecoder()
    pieces = [b"data: ", *[b"x" * 1000] * 1000]
    assert not any(decoder.feed(piece) for piece in pieces)
    assert decoder.pending == 1_000_006
    assert decoder.feed(b"\n\n") == [b"x" * 1_000_000]
    assert decoder.pending == 0


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_event_beyond_the_limit_is_refused(size: int) -> None:
    stream = b"data: ok\n\n" + b"data: " + b"x" * 100
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    with pytest.raises(RemoteProtocolError, match="larger than 64 bytes"):
        decode(chunks, limit=64)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_limit_is_that_of_one_event_not_of_the_stream(size: int) -> None:
    stream = b"data: 0123456789\n\n" * 50
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert decode(chunks, limit=64) == [b"0123456789"] * 50
