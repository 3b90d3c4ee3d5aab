"""The JSON-RPC peer: any bytes in any pieces, and each request is answered once, under its id as it was written."""

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import LocalProtocolError
from greenroom.protocol.jsonrpc import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    JsonRpcMessage,
    LineBuffer,
    Malformed,
    Notification,
    Peer,
    Request,
    Response,
    error_line,
    notification_line,
    result_line,
)

MEGABYTE = 1024 * 1024

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ids = st.integers(-(2**63), 2**64) | st.text(max_size=10)
messages = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | json_values,
        "id": ids | json_values,
        "method": st.sampled_from(["ping", "tools/call", ""]) | json_values,
        "params": json_values,
        "result": json_values,
        "error": json_values,
        "more": json_values,
    },
)
lines = st.one_of(
    messages.map(lambda message: json.dumps(message).encode()),
    messages.map(lambda message: json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")),
    st.just(b""),
    st.just(b"\r"),
)


def received(peer: Peer, *pieces: bytes) -> list[JsonRpcMessage]:
    return [message for piece in pieces for message in peer.receive(piece)]


def one(line: bytes, peer: Peer | None = None) -> JsonRpcMessage:
    (message,) = received(peer or Peer(), line + b"\n")
    return message


def malformed(line: bytes, peer: Peer | None = None) -> dict[str, object]:
    """Return the reply to a line that is no message."""
    message = one(line, peer)
    assert isinstance(message, Malformed), message
    assert message.reply.endswith(b"\n")
    reply = json.loads(message.reply)
    assert isinstance(reply, dict)
    assert reply["jsonrpc"] == "2.0"
    return reply


def refused(line: bytes, peer: Peer | None = None) -> tuple[object, object]:
    """Return the id and the code with which a line is refused."""
    reply = malformed(line, peer)
    error = reply["error"]
    assert isinstance(error, dict)
    return reply["id"], error["code"]


# Pieces


@given(st.lists(lines, max_size=6), st.data())
def test_any_split_gives_the_same_messages(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert received(Peer(), *pieces) == received(Peer(), stream)


@given(st.lists(lines, max_size=5))
def test_single_bytes_give_the_same_messages(sent: list[bytes]) -> None:
    stream = b"".join(line + b"\n" for line in sent)
    assert received(Peer(), *(bytes([byte]) for byte in stream)) == received(Peer(), stream)


@given(st.lists(lines, max_size=5), lines)
def test_the_end_of_input_ends_the_last_line(sent: list[bytes], last: bytes) -> None:
    whole, torn = Peer(), Peer()
    stream = b"".join(line + b"\n" for line in sent) + last
    expected = received(whole, stream + b"\n")
    assert [*received(torn, stream), *torn.receive_end()] == expected


@given(st.binary(max_size=300))
def test_no_bytes_break_the_peer(data: bytes) -> None:
    peer = Peer()
    received(peer, data, b"\n")
    peer = Peer()
    peer.accept_batches = True
    received(peer, data, b"\n")
    assert isinstance(one(b'{"id":"unique among the rest","method":"ping"}', peer), Request)


@given(st.lists(lines, max_size=6))
def test_each_line_is_one_message_at_most(sent: list[bytes]) -> None:
    for line in sent:
        messages = received(Peer(), line + b"\n")
        assert len(messages) == (1 if line.strip() else 0)


# Ids


@given(ids)
def test_ids_are_echoed_byte_for_byte(request_id: int | str) -> None:
    for raw in {json.dumps(request_id).encode(), json.dumps(request_id, ensure_ascii=False).encode()}:
        peer = Peer()
        request = one(b'{"id":%b,"method":"ping"}' % raw, peer)
        assert isinstance(request, Request)
        assert request.id == request_id
        assert peer.respond(request, b"{}") == b'{"jsonrpc":"2.0","id":%b,"result":{}}\n' % raw


@pytest.mark.parametrize(
    "raw",
    [
        b"0",
        b"-0",
        b"-1",
        b"9" * 200,
        b'""',
        b'"7"',
        rb'"\u0041\/\"\\\n"',
        rb'"\ud83d\ude00"',
        '"\U0001f600 é"'.encode(),
        b'"\x7f"',
    ],
)
def test_unusual_ids_are_ids(raw: bytes) -> None:
    peer = Peer()
    request = one(b'{ "id" : %b , "method":"ping"}' % raw, peer)
    assert isinstance(request, Request)
    assert request.raw_id == raw
    assert peer.fail(request, METHOD_NOT_FOUND, "no").startswith(b'{"jsonrpc":"2.0","id":%b,"error":' % raw)


def test_a_number_and_its_digits_are_two_ids() -> None:
    peer = Peer()
    number, digits = received(peer, b'{"id":7,"method":"a"}\n{"id":"7","method":"b"}\n')
    assert isinstance(number, Request)
    assert isinstance(digits, Request)
    assert peer.open_requests == 2
    peer.respond(digits, b"{}")
    assert peer.is_open(number)
    assert not peer.is_open(digits)


@pytest.mark.parametrize("raw", [b"null", b"1.5", b"1.0", b"1e3", b"true", b"[]", b"{}", b'"\xff"', b'"\x01"'])
def test_what_is_no_id_is_refused_without_one(raw: bytes) -> None:
    request_id, code = refused(b'{"jsonrpc":"2.0","id":%b,"method":"ping"}' % raw)
    assert request_id is None
    assert code in (INVALID_REQUEST, PARSE_ERROR)


# Answers


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_every_request_is_answered_once_and_no_more(order: list[int]) -> None:
    peer = Peer()
    requests = [one(b'{"id":%d,"method":"ping"}' % number, peer) for number in range(6)]
    answered: set[int] = set()
    for number in order:
        request = requests[number]
        assert isinstance(request, Request)
        if number in answered:
            with pytest.raises(LocalProtocolError):
                peer.respond(request, b"{}")
            with pytest.raises(LocalProtocolError):
                peer.fail(request, INVALID_REQUEST, "twice")
        else:
            assert json.loads(peer.respond(request, b"{}"))["id"] == number
            answered.add(number)
        assert peer.open_requests == 6 - len(answered)


def test_an_id_that_waits_for_its_answer_cannot_be_used_again() -> None:
    peer = Peer()
    first = one(b'{"id":"a","method":"x"}', peer)
    assert isinstance(first, Request)
    assert refused(b'{"id":"\\u0061","method":"y"}', peer) == ("a", INVALID_REQUEST)
    assert peer.is_open(first)
    peer.respond(first, b"{}")
    assert isinstance(one(b'{"id":"a","method":"z"}', peer), Request)


def test_an_answer_to_what_was_never_asked_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError, match="not open"):
        Peer().respond(Request(1, b"1", "ping", None), b"{}")


# Kinds of messages


def test_requests_notifications_and_responses_are_told_apart() -> None:
    assert one(b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1}}') == Request(1, b"1", "m", b'{"a":1}')
    assert one(b'{"id":1,"method":"m"}') == Request(1, b"1", "m", None)
    assert one(b'{"id":1,"method":"m","params":null}') == Request(1, b"1", "m", None)
    assert one(b'{"method":"m","params":[1]}') == Notification("m", b"[1]")
    assert one(b'{"id":1,"result":null}') == Response(1, b"null", None)
    assert one(b'{"id":"x","error":{"code":1}}') == Response("x", None, b'{"code":1}')
    assert one(b'{"id":1,"method":"m","result":{}}') == Request(1, b"1", "m", None), "the first shape that fits"


@pytest.mark.parametrize("line", [b"x", b"{", b'{"id":1', b'{"id":1,}', b"\xff", b'{"method":"\xff"}', b"nul", b"'a'"])
def test_what_is_no_json_is_a_parse_error(line: bytes) -> None:
    assert refused(line) == (None, PARSE_ERROR)


@pytest.mark.parametrize(
    "line", [b'{"id":1,"method":"ping","params":{"x":"\xff"}}', b'{"id":1,"method":"ping","x":"\xff"}']
)
def test_what_is_no_utf_8_anywhere_is_a_parse_error(line: bytes) -> None:
    assert refused(line) == (None, PARSE_ERROR)


@pytest.mark.parametrize("line", [b"7", b"null", b"true", b'"x"', b"{}", b'{"id":1}', b'{"method":5}', b'{"result":1}'])
def test_what_is_json_and_no_message_is_an_invalid_request(line: bytes) -> None:
    _, code = refused(line)
    assert code == INVALID_REQUEST


@pytest.mark.parametrize("version", [b'"1.0"', b"2.0", b"null", b'"2"'])
def test_a_wrong_version_is_refused_under_the_id(version: bytes) -> None:
    assert refused(b'{"jsonrpc":%b,"id":5,"method":"ping"}' % version) == (5, INVALID_REQUEST)
    assert refused(b'{"jsonrpc":%b,"method":"ping"}' % version) == (None, INVALID_REQUEST)


def test_deep_nesting_is_refused_or_served_and_never_fatal() -> None:
    for depth in (100, 5_000, 200_000):
        line = b'{"id":1,"method":"ping","params":' + b"[" * depth + b"]" * depth + b"}"
        message = one(line)
        assert isinstance(message, Request | Malformed)
        assert isinstance(one(b"[" * depth), Malformed)


# Batches


def test_a_batch_is_refused_unless_the_version_has_them() -> None:
    batch = b'[{"id":1,"method":"ping"},{"method":"x"},{"id":1,"method":"again"},5]'
    assert refused(batch) == (None, INVALID_REQUEST)
    peer = Peer()
    peer.accept_batches = True
    request, notification, again, five = received(peer, batch + b"\n")
    assert request == Request(1, b"1", "ping", None)
    assert notification == Notification("x", None)
    assert isinstance(again, Malformed)
    assert isinstance(five, Malformed)


def test_an_empty_or_broken_batch_is_refused_once() -> None:
    peer = Peer()
    peer.accept_batches = True
    assert refused(b"[]", peer) == (None, INVALID_REQUEST)
    assert refused(b"[1,", peer) == (None, PARSE_ERROR)


def test_batches_do_not_nest() -> None:
    peer = Peer()
    peer.accept_batches = True
    assert refused(b'[[{"id":1,"method":"ping"}]]', peer) == (None, INVALID_REQUEST)


# Lines


def test_a_line_of_64_megabytes_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        piece = b"x" * 65_536
        peer = Peer()
        begin = time.process_time()
        received(peer, b'{"id":1,"method":"ping","params":{"p":"')
        for _ in range(size // len(piece)):
            received(peer, piece)
        (message,) = received(peer, b'"}}\n')
        assert isinstance(message, Request)
        return time.process_time() - begin

    seconds(MEGABYTE)
    small = max(min(seconds(8 * MEGABYTE) for _ in range(3)), 0.002)
    assert seconds(64 * MEGABYTE) < 8 * small * 4


def test_a_line_beyond_the_limit_is_refused_and_its_memory_freed() -> None:
    peer = Peer(max_line=100)
    replies = received(peer, b"x" * 99, b"y" * 5_000, b"z", b'\n{"id":1,"method":"ping"}\n')
    assert isinstance(replies[0], Malformed)
    assert json.loads(replies[0].reply)["error"]["code"] == PARSE_ERROR
    assert replies[1] == Request(1, b"1", "ping", None)


@given(st.integers(1, 40), st.lists(st.binary(max_size=60), max_size=8))
def test_the_limit_counts_the_line_however_it_arrives(limit: int, pieces: list[bytes]) -> None:
    stream = b"".join(pieces) + b"\n"
    expected = [line if len(line) <= limit else None for line in stream.split(b"\n")[:-1]]
    buffer = LineBuffer(limit)
    assert [line for piece in [*pieces, b"\n"] for line in buffer.feed(piece)] == expected
    assert buffer.finish() is None


def test_a_line_of_exactly_the_limit_passes() -> None:
    line = b'{"id":1,"method":"ping"}'
    assert isinstance(received(Peer(len(line)), line + b"\n")[0], Request)
    assert isinstance(received(Peer(len(line) - 1), line + b"\n")[0], Malformed)


# Lines that we write


@given(st.text(), json_values, ids)
def test_written_lines_are_json_on_one_line(text: str, value: object, request_id: int | str) -> None:
    raw_id = msgspec.json.encode(request_id)
    lines_written = (
        result_line(raw_id, msgspec.json.encode(value)),
        error_line(raw_id, -32000, text, {"value": value}),
        notification_line("m", {"text": text}),
    )
    for line in lines_written:
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        assert json.loads(line)["jsonrpc"] == "2.0"
    assert json.loads(lines_written[1])["error"] == {"code": -32000, "message": text, "data": {"value": value}}


def test_an_error_without_data_has_no_such_member() -> None:
    assert json.loads(error_line(b"1", 5, "x"))["error"] == {"code": 5, "message": "x"}


@pytest.mark.parametrize("raw_id", [rb'"\ud800"', rb'"a\uDFFFb"', rb'"\ude00\ud83d"'])
@pytest.mark.parametrize("rest", [b'"method":"x"', rb'"method":"\ud800"', b'"result":{}'])
def test_an_id_that_is_no_text_is_refused_under_the_same_id(raw_id: bytes, rest: bytes) -> None:
    peer = Peer()
    (message,) = peer.receive(b'{"jsonrpc":"2.0","id":%b,%b}\n' % (raw_id, rest))
    assert isinstance(message, Malformed)
    assert message.reply.startswith(b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32600,' % raw_id)
    assert not peer.open_requests
    (other,) = peer.receive(b'{"id":"\xef\xbf\xbd","method":"x","params":{"a":"\\ud800"}}\n')
    assert isinstance(other, Request), "half a pair elsewhere is mended"
