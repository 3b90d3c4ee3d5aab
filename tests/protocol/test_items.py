"""Items: what is known of each type, and what of an item goes back to the model."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.items import KINDS, JsonObject, is_known_item, sent_form, text_parts

VALUES = st.none() | st.text(max_size=5) | st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(), st.none())
ITEMS = st.dictionaries(
    st.sampled_from(["id", "role", "content", "summary", "encrypted_content", "call_id", "output", "name", "x"]),
    VALUES | st.lists(st.dictionaries(st.sampled_from(["type", "text"]), st.just("output_text"))),
).flatmap(lambda item: st.sampled_from([*KINDS, "novelty", "", None]).map(lambda kind: {**item, "type": kind}))


@given(ITEMS)
def test_sent_form_has_only_known_members(item: JsonObject) -> None:
    sent = sent_form(item)
    if sent is None:
        return
    assert set(sent) <= {"type", *KINDS[str(item["type"])].sent}
    assert None not in sent.values()
    assert is_known_item(sent)
    assert sent_form(msgspec.json.decode(msgspec.json.encode(sent))) == sent


def test_display_members_of_a_message_are_not_sent_back() -> None:
    item: JsonObject = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "phase": "final_answer",
        "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}],
        "internal_chat_message_metadata_passthrough": {"turn_id": "1"},
    }
    assert sent_form(item) == {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hi"}],
        "phase": "final_answer",
    }


def test_null_id_is_left_out() -> None:
    item: JsonObject = {"type": "message", "id": None, "role": "user", "content": []}
    assert sent_form(item) == {"type": "message", "role": "user", "content": []}


def test_encrypted_reasoning_is_sent_without_its_text() -> None:
    item: JsonObject = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "s"}],
        "content": [{"type": "reasoning_text", "text": "t"}],
        "encrypted_content": "gAAA",
    }
    assert sent_form(item) == {key: value for key, value in item.items() if key != "content"}


def test_plain_reasoning_is_sent_with_its_text() -> None:
    content = [{"type": "reasoning_text", "text": "t"}]
    item: JsonObject = {"type": "reasoning", "id": "rs_1", "content": content, "encrypted_content": ""}
    assert sent_form(item) == {"type": "reasoning", "id": "rs_1", "content": content, "summary": []}


def test_empty_reasoning_is_not_sent() -> None:
    assert sent_form({"type": "reasoning", "id": "rs_1", "summary": [], "content": []}) is None


@pytest.mark.parametrize(
    "item",
    [
        {"type": "function_call", "name": "f", "arguments": {}, "call_id": "1"},
        {"type": "function_call_output", "call_id": "1"},
        {"type": "message", "role": "user", "content": "text"},
        {"type": "custom_tool_call", "name": "f", "call_id": "1"},
        {"type": "ghost_snapshot"},
        {},
    ],
)
def test_item_that_lacks_something_is_unknown(item: JsonObject) -> None:
    assert not is_known_item(item)
    assert sent_form(item) is None


def test_output_may_be_a_list_of_parts() -> None:
    item: JsonObject = {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_image"}]}
    assert sent_form(item) == item


def test_texts_of_a_message_are_found() -> None:
    content = [{"type": "input_text", "text": "a"}, {"type": "input_image"}, "b", {"text": 1}, {"text": "c"}]
    assert text_parts({"content": content}) == ["a", "c"]
    assert text_parts({"content": None}) == []
