"""Whatever a server answers to a call, the model sees what there is in it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import CallToolResult

from greenroom.protocol.items import JsonObject
from greenroom.workers.mcp.answer import read_tool_result
from greenroom.workers.mcp.tools.result import read_result

TEXT = {"type": "text", "text": "t1"}
WHOLE: list[JsonObject] = [
    {"content": [TEXT], "isError": True},
    {"content": [{**TEXT, "annotations": {"audience": ["user"]}}], "isError": False, "_meta": {"a": 1}},
    {"content": [], "isError": False, "structuredContent": {"a": None}},
    {"content": [{"type": "image", "data": "aGk=", "mimeType": "image/png"}], "isError": False},
    {"content": [{"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}], "isError": False},
    {"content": [{"type": "resource", "resource": {"uri": "file:///x", "text": "r"}}], "isError": False},
    {"content": [{"type": "resource", "resource": {"uri": "file:///x", "blob": "aGk="}}], "isError": False},
    {"content": [{"type": "resource_link", "uri": "file:///x", "name": "x", "size": 5}], "isError": False},
]


@pytest.mark.parametrize("answer", WHOLE)
def test_what_keeps_the_rules_stays_as_it_is(answer: JsonObject) -> None:
    CallToolResult.model_validate(answer)
    assert read_tool_result(answer) == answer


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"structuredContent": {"a": 1}}, {"content": [], "structuredContent": {"a": 1}}),
        ({"structuredContent": [1]}, {"content": [], "structuredContent": [1]}),
        ({"content": None, "isError": None, "structuredContent": None, "_meta": None}, {"content": []}),
        ({"content": [None, TEXT], "isError": "yes"}, {"content": [TEXT]}),
        ({"content": "t1"}, {"content": [TEXT]}),
        ({"content": TEXT}, {"content": [TEXT]}),
        ({"content": ["t1", {"type": "text", "text": "t1", "annotations": "x"}]}, {"content": [TEXT, TEXT]}),
        ({"content": [{**TEXT, "_meta": None, "annotations": None}]}, {"content": [TEXT]}),
        ({"content": [{"type": "weird", "z": 1}]}, {"content": [{**TEXT, "text": '{"type":"weird","z":1}'}]}),
        ({"content": [{"z": 1}, 5]}, {"content": [{**TEXT, "text": '{"z":1}'}, {**TEXT, "text": "5"}]}),
        ({"content": [{"type": "text"}]}, {"content": [{**TEXT, "text": '{"type":"text"}'}]}),
        (
            {"content": [{"type": "resource_link", "uri": "ui://x", "name": None}]},
            {"content": [{"type": "resource_link", "uri": "ui://x", "name": "ui://x"}]},
        ),
        (
            {"content": [{"type": "resource", "resource": {"text": "r", "mimeType": None}}]},
            {"content": [{"type": "resource", "resource": {"uri": "", "text": "r"}}]},
        ),
        ({"toolResult": 5, "resultType": "complete"}, {"content": [{**TEXT, "text": '{"toolResult":5}'}]}),
        ("t1", {"content": [TEXT]}),
        (None, {"content": []}),
    ],
)
def test_what_breaks_the_rules_is_kept_in_a_form_that_does_not(given: object, read: JsonObject) -> None:
    assert read_tool_result(given) == {"isError": False, **read}


words = st.sampled_from(["alpha", "beta", "gamma", "delta"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
)
kinds = st.sampled_from(["text", "image", "audio", "resource", "resource_link", "json"])
members = st.sampled_from(["type", "text", "data", "mimeType", "uri", "name", "resource", "annotations", "x"])
blocks = (
    values
    | st.dictionaries(members, values)
    | st.builds(lambda kind, more: {**more, "type": kind}, kinds, st.dictionaries(members, values))
)
answers = values | st.fixed_dictionaries(
    {},
    optional={
        "content": values | blocks | st.lists(blocks, max_size=4),
        "structuredContent": values,
        "isError": values,
        "_meta": values,
        "other": values,
    },
)


def said(value: object) -> set[str]:
    """Return every word within a value."""
    match value:
        case str():
            return {value}
        case dict():
            return set().union(*map(said, value.values()))
        case list():
            return set().union(*map(said, value))
    return set()


@given(answers)
def test_any_answer_becomes_a_result_that_clients_take_and_the_model_sees_what_it_says(given: object) -> None:
    answer = read_tool_result(given)
    if isinstance(answer.get("structuredContent", {}), dict):
        CallToolResult.model_validate(answer)
    told = read_result(answer, 0).text
    members = given if isinstance(given, dict) else {"content": given}
    shown = said(answer["content"]) | said(answer.get("structuredContent"))
    for word in said(members.get("structuredContent")):
        assert word in told
    content = members.get("content")
    for block in content if isinstance(content, list) else []:
        if isinstance(block, str) or (isinstance(block, dict) and str(block.get("type")) not in {"image", "audio"}):
            kept = (
                {name: value for name, value in block.items() if name != "annotations"}
                if isinstance(block, dict)
                else block
            )
            assert all(word in told for word in said(kept))
    assert msgspec.json.encode(answer)
    assert shown or not said(content)
