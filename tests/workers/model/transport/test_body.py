"""Bodies of answers: read as what they are, wherever they are cut, and told where they are no answer."""

import itertools
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.workers.model.transport.body import PAGE_READ, AnswerBody, NotAnAnswerError

OBJECT = b'{"choices": [\n{"message": {"content": "x"}}]}'
PRETTY = json.dumps({"object": "response", "output": []}, indent=2).encode()


def read(body: bytes, cuts: list[int] | None = None, limit: int = 10**6) -> list[bytes]:
    reader = AnswerBody(limit)
    pieces = [body[start:end] for start, end in itertools.pairwise([0, *(cuts or []), len(body)])]
    return [*(payload for piece in pieces for payload in reader.feed(piece)), *reader.end()]


BODIES = {
    b"": [],
    b" \r\n": [],
    b"data: a\n\ndata: b\n\n": [b"a", b"b"],
    b"data:a\r\n\r\ndata:b": [b"a", b"b"],
    b"\xef\xbb\xbfdata: a\n\n": [b"a"],
    b"\n\n: ping\n\nevent: x\ndata: {}\n\n": [b"{}"],
    b"event: error\ndata: {}\n": [b"{}"],
    b"data: {}": [b"{}"],
    OBJECT: [OBJECT],
    b"\n" + OBJECT + b"\n": [OBJECT],
    b"\xef\xbb\xbf" + OBJECT: [OBJECT],
    PRETTY: [PRETTY],
    b'[{"error": {}}]': [b'[{"error": {}}]'],
    b'{"a": 1}\n{"b": 2}\n': [b'{"a": 1}', b'{"b": 2}'],
    b'{"a": 1}\r\n\r\ndata: {"b": 2}\n: ping\n[DONE]': [b'{"a": 1}', b'{"b": 2}', b"[DONE]"],
    b'{"a": 1': [b'{"a": 1'],
}


@given(st.sampled_from(sorted(BODIES)), st.data())
def test_what_a_body_is_its_bytes_tell_however_it_is_cut(body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    assert read(body, cuts) == read(body) == BODIES[body]


def test_web_page_is_quoted_without_its_tags() -> None:
    page = (
        b"<!DOCTYPE html><html><head><style>p {}</style><title>Sign in</title></head><body>\n<p>Hello</p></body></html>"
    )
    with pytest.raises(NotAnAnswerError, match=r"a web page: Sign in Hello$") as raised:
        read(page)
    assert raised.value.permanent


def test_long_web_page_is_not_waited_for() -> None:
    with pytest.raises(NotAnAnswerError):
        AnswerBody().feed(b"<" + b"x" * PAGE_READ)


def test_text_that_is_no_answer_is_quoted() -> None:
    with pytest.raises(NotAnAnswerError, match="neither events nor JSON: upstream connect error") as raised:
        read(b": ping\n\nupstream connect error\n")
    assert not raised.value.permanent


@pytest.mark.parametrize("body", [b'{"x":"' + b"x" * 200 + b'"}', b"data: " + b"x" * 200 + b"\n\n"])
def test_body_has_a_greatest_size(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="larger than 100 bytes"):
        read(body, limit=100)


@given(st.binary(max_size=60))
def test_no_body_breaks_the_reader(body: bytes) -> None:
    with suppress(NotAnAnswerError):
        assert all(isinstance(payload, bytes) for payload in read(body, [len(body) // 2]))
