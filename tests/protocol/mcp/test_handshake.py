"""The Model Context Protocol as it leaves us."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.mcp import handshake as mcp

THREAD = ConversationId("0199f3a0-0000-7000-8000-000000000001")

json_objects = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@given(st.lists(json_objects, min_size=1, max_size=6), st.integers() | st.text(max_size=8), st.text(max_size=8))
def test_spliced_events_are_the_same_as_composed_ones(
    events: list[dict[str, object]], request_id: int | str, event_id: str
) -> None:
    raw_id = json.dumps(request_id).encode()
    spliced = mcp.EventNotification(raw_id, THREAD, event_id).splice(b"\n".join(map(msgspec.json.encode, events)))
    assert spliced.endswith(b"\n")
    assert [json.loads(line) for line in spliced.splitlines()] == [
        {
            "jsonrpc": "2.0",
            "method": "codex/event",
            "params": {"_meta": {"requestId": request_id, "threadId": THREAD}, "id": event_id, "msg": event},
        }
        for event in events
    ]


def test_an_event_is_passed_on_byte_for_byte() -> None:
    event = rb'{ "type" : "x","n":1.0e2, "s":"\u00e9\/" }'
    assert event in mcp.EventNotification(b"1", THREAD, "").splice(event)


@pytest.mark.parametrize("version", mcp.HANDSHAKE_VERSIONS)
def test_a_known_version_is_the_one_to_speak(version: str) -> None:
    assert mcp.negotiate(version) == version


@given(st.text())
def test_an_unknown_version_is_answered_with_the_newest(version: str) -> None:
    expected = version if version in mcp.HANDSHAKE_VERSIONS else "2025-11-25"
    assert mcp.negotiate(version) == expected


def test_the_handshake_result_names_this_server() -> None:
    result = json.loads(mcp.initialize_result("2025-06-18", "9.9", 'agent "x"'))
    assert result["protocolVersion"] == "2025-06-18"
    assert result["serverInfo"]["name"] == "codex-mcp-server"
    assert result["serverInfo"]["version"] == "9.9"
    assert result["serverInfo"]["user_agent"] == 'agent "x"'


@given(st.text())
def test_a_success_tells_the_text_twice_and_no_error(text: str) -> None:
    result = json.loads(mcp.success_result(THREAD, msgspec.json.encode(text)))
    assert result == {
        "content": [{"type": "text", "text": text}],
        "structuredContent": {"threadId": THREAD, "content": text},
    }


@given(st.text(), json_objects)
def test_a_failure_tells_its_kind_and_facts(text: str, facts: dict[str, object]) -> None:
    result = json.loads(mcp.failure_result(Failure("model_error", text, facts), THREAD))
    assert result["isError"] is True
    assert result["content"] == [{"type": "text", "text": text}]
    assert result["error"] == text, "what clients of August 2025 look for"
    structured = result["structuredContent"]
    assert (structured["threadId"], structured["content"]) == (THREAD, text)
    assert structured["error"] == {"kind": "model_error", "message": text, **facts}


def test_a_failure_before_there_is_a_conversation_has_no_structure() -> None:
    result = json.loads(mcp.failure_result(Failure("config", "no")))
    assert result == {"content": [{"type": "text", "text": "no"}], "isError": True}


def test_params_are_read_as_far_as_they_matter() -> None:
    call = mcp.decode_call_tool(b'{"name":"codex","arguments":{"a": 1},"_meta":{"progressToken":7,"x":1},"task":{}}')
    assert call.name == "codex"
    assert bytes(call.arguments) == b'{"a": 1}'
    assert call.meta is not None
    assert call.meta.progress_token == 7
    assert bytes(mcp.decode_call_tool(b'{"name":"codex"}').arguments) == b"null"
    assert mcp.decode_cancelled(b'{"requestId":"7","reason":"x"}').request_id == "7"
    assert mcp.decode_cancelled(b'{"requestId":7}').request_id == 7


@pytest.mark.parametrize("params", [b"null", b"[]", b"{}", b'{"requestId":null}', b'{"requestId":1.5}'])
def test_a_cancellation_of_nothing_is_not_read(params: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        mcp.decode_cancelled(params)


def test_what_initialize_must_say_must_be_said() -> None:
    full = {"protocolVersion": "x", "capabilities": {}, "clientInfo": {"name": "a", "version": "b"}}
    assert mcp.decode_initialize(json.dumps({**full, "more": 1}).encode()).client_info.name == "a"
    for name in full:
        with pytest.raises(msgspec.ValidationError):
            mcp.decode_initialize(json.dumps({key: full[key] for key in full if key != name}).encode())
