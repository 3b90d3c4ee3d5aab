"""A message that breaks the rules of JSON-RPC in one member is read for the rest of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import JSONRPCError, JSONRPCResponse, jsonrpc_message_adapter

from greenroom.workers.mcp.transport.repair import DEPTH, SHOWN, repaired


def read(line: str | bytes) -> object:
    data = line if isinstance(line, bytes) else line.encode()
    return jsonrpc_message_adapter.validate_json(repaired(data), by_name=False)


@pytest.mark.parametrize(
    ("members", "code", "text"),
    [
        ('"error":"boom"', -32603, "boom"),
        ('"error":{"code":"E1","message":"boom"}', -32603, "E1: boom"),
        ('"error":{"code":5.5,"message":"boom"}', -32603, "5.5: boom"),
        ('"error":{"code":7,"message":null,"why":"so"}', 7, '{"message": null, "why": "so"}'),
        ('"error":{"message":"boom"}', -32603, "boom"),
        ('"error":["boom"]', -32603, '["boom"]'),
        ('"result":null', -32603, "the result is no object but null"),
        ('"result":"text"', -32603, 'the result is no object but "text"'),
        ('"result":[1]', -32603, "the result is no object but [1]"),
        ('"error":null', -32603, "it answered with neither a result nor an error"),
    ],
)
def test_an_error_is_told_whatever_its_form(members: str, code: int, text: str) -> None:
    message = read(f'{{"jsonrpc":"2.0","id":1,{members}}}')
    assert isinstance(message, JSONRPCError)
    assert (message.id, message.error.code, message.error.message) == (1, code, text)


@pytest.mark.parametrize(
    ("line", "result"),
    [
        (rb'{"id":1,"result":{"a":1}}', {"a": 1}),
        (rb'{"jsonrpc":2.0,"id":1.0,"result":{"a":1},"error":null}', {"a": 1}),
        (rb'{"jsonrpc":"2.0","id":1,"result":{"a":"x\ud83d"}}', {"a": "x?"}),
        (b'{"jsonrpc":"2.0","id":1,"result":{"a":"\xff"}}', {"a": "\N{REPLACEMENT CHARACTER}"}),
        (rb'{"id":1,"result":{"a":NaN,"b":-Infinity}}', {"a": None, "b": None}),
    ],
)
def test_a_result_is_read_though_something_beside_it_is_wrong(line: bytes, result: object) -> None:
    message = read(line)
    assert isinstance(message, JSONRPCResponse)
    assert (message.id, message.result) == (1, result)


def test_what_is_nested_too_deeply_is_left_out() -> None:
    message = read('{"jsonrpc":"2.0","id":1,"result":' + '{"a":' * 400 + "1" + "}" * 401)
    assert isinstance(message, JSONRPCResponse)
    assert json.dumps(message.result).count('"a"') == DEPTH


def test_a_long_value_is_not_told_whole() -> None:
    message = read(json.dumps({"id": 1, "result": ["x" * 9999]}))
    assert isinstance(message, JSONRPCError)
    assert len(message.error.message) < SHOWN + 50


@pytest.mark.parametrize("line", [b"Welcome!", b"[INFO] up", b"[1]", b"5", b"", b"[" * 100_000, b'{"level":"info"}'])
def test_what_is_no_message_stays_none(line: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read(line)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(st.integers(), values, values, st.booleans(), st.booleans())
def test_every_answer_reaches_who_waits_for_it(
    number: int, result: object, error: object, failed: bool, versioned: bool
) -> None:
    member = {"error": error} if failed else {"result": result}
    line = json.dumps({"id": number, **member, **({"jsonrpc": "2.0"} if versioned else {})}).encode()
    message = read(line)
    assert isinstance(message, JSONRPCError | JSONRPCResponse)
    assert message.id == number
    assert repaired(repaired(line)) == repaired(line)
