"""Compressed answers: expanded where they can be, refused by name where they cannot, and never without bounds."""

import gzip
import itertools
import zlib
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.transport.body import NotAnAnswerError
from greenroom.workers.model.transport.content_coding import FREE, RATIO, Expansion

STREAM = b"".join(b'data: {"choices":[{"delta":{"content":"%d"}}]}\n\n' % number for number in range(2000))
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "X-GZIP": gzip.compress,
    "deflate": zlib.compress,
    "": bytes,
    "identity": bytes,
}


@given(st.sampled_from(sorted(CODINGS)), st.data())
def test_answer_is_what_was_compressed_however_it_is_cut(coding: str, data: st.DataObject) -> None:
    body = CODINGS[coding](STREAM)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    expansion = Expansion(coding)
    pieces = (body[start:end] for start, end in itertools.pairwise([0, *cuts, len(body)]))
    assert b"".join(itertools.chain.from_iterable(map(expansion.feed, pieces))) == STREAM


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br"])
def test_coding_that_is_not_known_is_named(coding: str) -> None:
    with pytest.raises(NotAnAnswerError, match=coding):
        Expansion(coding)


def test_small_body_does_not_become_a_large_one() -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    expansion = Expansion("gzip")
    given: list[int] = []

    def expand() -> None:
        for start in range(0, len(bomb), 4096):
            given.extend(map(len, expansion.feed(bomb[start : start + 4096])))

    with pytest.raises(NotAnAnswerError, match=f"more than {RATIO} times"):
        expand()
    assert sum(given) <= FREE


def test_large_answer_of_ordinary_text_is_expanded() -> None:
    text = Random(1).randbytes(FREE).hex().encode()
    assert b"".join(Expansion("gzip").feed(gzip.compress(text, 1))) == text


def test_broken_compression_is_an_error() -> None:
    with pytest.raises(NotAnAnswerError, match="cannot be expanded"):
        Expansion("gzip").feed(b"data: {}")
