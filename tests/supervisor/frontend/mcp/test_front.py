"""Whatever a client says, in whichever era and order: each request has one answer, and nothing else goes out."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mcp_types import jsonrpc_message_adapter

from greenroom.protocol.methods import FOREIGN_TO_STATELESS, LATE_METHODS, METHODS
from greenroom.supervisor.frontend.mcp.front import Front
from tests.support.modern import META

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
NAMES = sorted({*METHODS, "no such method", ""})
ENVELOPES: list[Any] = [
    META,
    {**META, VERSION_KEY: "2031-01-01"},
    {**META, VERSION_KEY: 7},
    {VERSION_KEY: "2026-07-28"},
    {**META, "io.modelcontextprotocol/clientInfo": "?"},
    {"progressToken": 1},
    None,
    [],
]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(VERSION_KEY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
params = st.one_of(
    values,
    st.fixed_dictionaries(
        {"_meta": st.sampled_from(ENVELOPES)},
        optional={"name": st.sampled_from(["codex", "codex-reply", "x", 7]), "arguments": values, "taskId": values},
    ),
)
requests = st.tuples(st.just("request"), st.sampled_from(NAMES), params)
cancellations = st.tuples(st.just("cancellation"), st.integers(0, 12), st.none())
others = st.tuples(st.just("other"), st.binary(max_size=20).filter(lambda text: b"\n" not in text), st.none())


def is_modern(given_params: Any) -> bool:
    meta = given_params.get("_meta") if isinstance(given_params, dict) else None
    return meta in (META, ENVELOPES[4])


@given(st.lists(requests | cancellations | others, max_size=12), st.integers(1, 40))
def test_each_request_has_one_answer_unless_its_era_wants_none(said: list[Any], piece: int) -> None:
    written: list[bytes] = []
    front = Front(written.append, {})
    stream, expected, waiting = bytearray(), set[int](), set[int]()
    for number, (kind, what, given_params) in enumerate(said):
        if kind == "request":
            message = {"jsonrpc": "2.0", "id": number, "method": what, "params": given_params}
            stream += json.dumps(message).encode() + b"\n"
            expected.add(number)
            if what in LATE_METHODS - FOREIGN_TO_STATELESS and is_modern(given_params):
                waiting.add(number)
        elif kind == "cancellation":
            notification = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": what}}
            stream += json.dumps(notification).encode() + b"\n"
            expected -= waiting & {what}
        else:
            stream += b"?" + what + b"\n"
    for start in range(0, len(stream), piece):
        front.receive(bytes(stream[start : start + piece]))
    front.receive_end()
    front.refuse_early("over")
    messages = [json.loads(line) for line in b"".join(written).splitlines()]
    for message in messages:
        assert "method" not in message
        jsonrpc_message_adapter.validate_python(message)
    answered = [message["id"] for message in messages if message["id"] is not None]
    assert sorted(answered) == sorted(expected)
