"""Every record becomes one line that current releases of Codex understand."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.items import JsonObject
from greenroom.sessions.records import format as session_format
from greenroom.sessions.records.format import (
    HistoryMode,
    SessionRecord,
    encode_line,
    record_timestamp,
    response_item,
    stored_event,
)
from tests.support.events import event

ID = ConversationId("0b9c3f5e-1111-4222-8333-444455556666")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


def decoded(record: SessionRecord, at: float = 0) -> JsonObject:
    line = encode_line(record, at)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    return msgspec.json.decode(line, type=dict[str, object])


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), JSON, max_size=3))
def test_a_record_is_one_line_whatever_is_in_it(item: JsonObject) -> None:
    assert decoded(response_item(item)) == {
        "timestamp": "1970-01-01T00:00:00.000Z",
        "type": "response_item",
        "payload": item,
    }


def test_what_is_encoded_already_is_written_as_it_is() -> None:
    line = encode_line(SessionRecord("event_msg", msgspec.Raw(b'{"type":"task_started","x":1.50}')), 0)
    assert (
        line
        == b'{"timestamp":"1970-01-01T00:00:00.000Z","type":"event_msg","payload":{"type":"task_started","x":1.50}}\n'
    )


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1795347842.472, "2026-11-22T11:44:02.472Z"),
        (1795347842.9999999, "2026-11-22T11:44:03.000Z"),
    ],
)
def test_times_are_utc_in_milliseconds(at: float, text: str) -> None:
    assert record_timestamp(at) == text


@pytest.mark.parametrize(
    ("model", "provenance"), [("gpt-5", {"type": "model", "model": "gpt-5"}), (None, {"type": "custom"})]
)
def test_the_metadata_has_what_other_readers_require(model: str | None, provenance: JsonObject) -> None:
    meta = session_format.session_meta(
        conversation_id=ID,
        started=0,
        cwd="/home/ada/shop",
        originator="codex_cli_rs",
        cli_version="0.153.4",
        model_provider="openai",
        base_instructions="Be brief.",
        model=model,
        git={"branch": "main"},
    )
    assert decoded(meta)["payload"] == {
        "session_id": ID,
        "id": ID,
        "timestamp": "1970-01-01T00:00:00.000Z",
        "cwd": "/home/ada/shop",
        "originator": "codex_cli_rs",
        "cli_version": "0.153.4",
        "source": "mcp",
        "model_provider": "openai",
        "base_instructions": {"text": "Be brief.", "provenance": provenance},
        "history_mode": "legacy",
        "git": {"branch": "main"},
    }


def test_a_turn_context_says_what_the_model_was_told() -> None:
    context = session_format.turn_context(
        turn_id=TurnId("t1"),
        cwd="/a",
        model="gpt-5",
        approval_policy="never",
        sandbox_policy={"type": "danger-full-access"},
        effort="high",
        more={"current_date": "2026-11-22"},
    )
    assert decoded(context)["payload"] == {
        "turn_id": "t1",
        "cwd": "/a",
        "approval_policy": "never",
        "sandbox_policy": {"type": "danger-full-access"},
        "model": "gpt-5",
        "summary": "auto",
        "effort": "high",
        "current_date": "2026-11-22",
    }


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("task_started", {"legacy", "paginated"}),
        ("token_count", {"legacy", "paginated"}),
        ("turn_aborted", {"legacy", "paginated"}),
        ("agent_message", {"legacy"}),
        ("user_message", {"legacy"}),
        ("patch_apply_end", {"legacy"}),
        ("context_compacted", {"legacy"}),
        ("item_completed", {"paginated"}),
        ("item_started", set()),
        ("agent_message_delta", set()),
        ("exec_command_end", set()),
        ("error", set()),
        ("session_configured", set()),
    ],
)
def test_only_events_that_are_read_back_are_kept(kind: str, kept: set[str]) -> None:
    told = event(kind)
    modes: tuple[HistoryMode, ...] = ("legacy", "paginated")
    for mode in modes:
        kept_form = SessionRecord("event_msg", msgspec.to_builtins(told))
        assert stored_event(told, mode) == (kept_form if mode in kept else None)


def test_the_end_of_a_call_of_a_server_is_stored_without_its_turn() -> None:
    record = stored_event(event("mcp_tool_call_end", turn_id="t", call_id="c", result={"Ok": {}}))
    assert record is not None
    assert isinstance(record.payload, dict)
    assert list(record.payload) == ["type", "call_id", "invocation", "duration", "result"]


def test_a_number_stands_before_what_the_line_is_about() -> None:
    line = encode_line(SessionRecord("event_msg", {"type": "task_started"}), 0, 7)
    assert list(msgspec.json.decode(line)) == ["timestamp", "ordinal", "type", "payload"]
    assert msgspec.json.decode(line)["ordinal"] == 7
