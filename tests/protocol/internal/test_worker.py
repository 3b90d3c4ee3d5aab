"""Messages between supervisor and worker come out as they went in, and what is none is refused without an echo."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import ConversationId, Incarnation
from greenroom.protocol.internal.worker.header import Addressed, message_frames
from greenroom.protocol.internal.worker.notices import NOTICES, JobDone, NoticeOrder, notice_frames, read_notice
from greenroom.protocol.internal.worker.operations import OPERATIONS, Close, Interrupt, read_operation
from greenroom.protocol.message import MAX_HEADER, Message, pack
from tests.protocol.headers import instances

SECRET = "do-not-repeat-me"
FIRST = NoticeOrder(0, 1)


operations = st.sampled_from(sorted(OPERATIONS)).flatmap(lambda wire: instances(OPERATIONS[wire]))
notices = st.sampled_from(sorted(NOTICES)).flatmap(lambda wire: instances(NOTICES[wire]))
objects = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@given(operations, st.binary(max_size=100))
def test_operations_come_out_as_they_went_in(operation: Message, payload: bytes) -> None:
    assert read_operation(message_frames(operation, payload)) == (operation, payload)  # type: ignore[arg-type]


orders = st.builds(NoticeOrder, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


@given(notices, st.binary(max_size=100), orders)
def test_notices_come_out_as_they_went_in(notice: Message, payload: bytes, order: NoticeOrder) -> None:
    assert read_notice(notice_frames(notice, payload, order)) == (notice, payload, order)  # type: ignore[arg-type]


@given(notices, st.lists(st.binary(max_size=15), max_size=2))
def test_a_notice_says_where_it_belongs_among_the_events(notice: Message, more: list[bytes]) -> None:
    with pytest.raises(RemoteProtocolError):
        read_notice([*message_frames(notice), *more])  # type: ignore[arg-type]


@given(operations)
def test_an_operation_is_no_notice(operation: Message) -> None:
    with pytest.raises(RemoteProtocolError):
        read_notice(notice_frames(operation, b"", FIRST))  # type: ignore[arg-type]


def test_kinds_are_announced_under_names_of_their_own() -> None:
    assert not set(OPERATIONS) & set(NOTICES)
    assert all(kind.wire == wire for kinds in (OPERATIONS, NOTICES) for wire, kind in kinds.items())


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_frames_are_a_message_or_a_violation(parts: list[bytes]) -> None:
    for read in (read_operation, read_notice):
        with pytest.raises(RemoteProtocolError):
            read(parts)


@given(st.sampled_from(sorted({**OPERATIONS, **NOTICES})), objects)
def test_any_header_is_a_message_or_a_violation(wire: bytes, header: object) -> None:
    message: Message
    try:
        if wire in OPERATIONS:
            message = read_operation([wire, msgpack.packb(header), b""]).operation
        else:
            message = read_notice([wire, msgpack.packb(header), b"", bytes(16)]).notice
    except RemoteProtocolError:
        return
    assert message.wire == wire


def violation(parts: list[bytes]) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        read_operation(parts)
    assert caught.value.__cause__ is None, "the cause would print the data"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def test_a_violation_does_not_repeat_the_data() -> None:
    header = {"conversation_id": [SECRET], "incarnation": SECRET, "turn_id": {SECRET: 1}}
    for parts in (
        [Interrupt.wire, msgpack.packb(header), SECRET.encode()],
        [Interrupt.wire, SECRET.encode(), b""],
        [Interrupt.wire, msgpack.packb(SECRET), b""],
        [SECRET.encode()] * 5,
    ):
        assert SECRET not in repr(violation(parts))


def test_a_violation_does_not_repeat_the_names_of_what_it_does_not_know() -> None:
    parts = [Close.wire, msgpack.packb({SECRET: 1}), b""]
    assert SECRET not in repr(violation(parts))


def test_a_header_has_a_limit_and_a_payload_has_none() -> None:
    payload = b"x" * (4 * MAX_HEADER)
    assert read_notice(notice_frames(JobDone(), payload, FIRST)).payload == payload
    with pytest.raises(RemoteProtocolError, match=r"header of \d+ bytes"):
        read_notice(notice_frames(JobDone(failure="x" * MAX_HEADER), b"", FIRST))


def test_headers_are_fixed_and_complete() -> None:
    address = Addressed(conversation_id=ConversationId("c"), incarnation=Incarnation(1))
    with pytest.raises(AttributeError):
        address.incarnation = Incarnation(2)
    with pytest.raises(RemoteProtocolError, match="incarnation"):
        read_operation([Interrupt.wire, msgpack.packb({"conversation_id": "c", "turn_id": "t"}), b""])
    with pytest.raises(RemoteProtocolError):
        read_operation([Close.wire, msgpack.packb({"surplus": 1}), b""])


def test_a_header_is_plain_msgpack() -> None:
    address = Addressed(conversation_id=ConversationId("c"), incarnation=Incarnation(3))
    assert msgpack.unpackb(pack(address)) == {"conversation_id": "c", "incarnation": 3}
