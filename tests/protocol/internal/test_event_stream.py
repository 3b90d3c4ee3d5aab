"""Frames come out of a stream as they went in, however it is cut."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import TurnId
from greenroom.protocol.internal.event_stream import MAX_PAYLOAD, EventFrame, FrameDecoder, FrameEncoder

batches = st.lists(st.tuples(st.text(max_size=40), st.binary(max_size=200), st.integers(0, 2**32 - 1)), max_size=12)


def encoded(frames: list[tuple[str, bytes, int]]) -> bytes:
    encoder, stream = FrameEncoder(), b""
    for turn_id, payload, notices in frames:
        encoder.begin_turn(TurnId(turn_id))
        stream += encoder.encode(payload, notices)
    return stream


@given(batches, st.data())
def test_any_cuts_give_the_same_frames(frames: list[tuple[str, bytes, int]], data: st.DataObject) -> None:
    stream = encoded(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    decoder = FrameDecoder()
    found = [frame for piece in pieces for frame in decoder.feed(piece)]
    assert found == [EventFrame(TurnId(turn_id), payload, notices) for turn_id, payload, notices in frames]
    assert decoder.frames == len(frames)


small = st.tuples(st.text(max_size=3), st.binary(max_size=10), st.integers(0, 9))


@given(st.lists(small, max_size=4), st.integers(1, 8))
def test_a_frame_is_returned_with_its_last_byte_and_not_before(frames: list[tuple[str, bytes, int]], size: int) -> None:
    stream, decoder, ends, position = encoded(frames), FrameDecoder(), [], 0
    for frame in frames:
        position += len(encoded([frame]))
        ends.append(position)
    for start in range(0, len(stream), size):
        decoder.feed(stream[start : start + size])
        assert decoder.frames == sum(end <= start + size for end in ends)


def test_a_frame_that_is_too_large_is_refused_before_it_is_kept() -> None:
    with pytest.raises(RemoteProtocolError, match="a frame of"):
        FrameDecoder().feed(struct.pack(">IIB", MAX_PAYLOAD + 1, 0, 0))


def test_a_turn_whose_id_does_not_fit_is_refused() -> None:
    encoder = FrameEncoder()
    with pytest.raises(ValueError, match="255"):
        encoder.begin_turn(TurnId("x" * 256))
