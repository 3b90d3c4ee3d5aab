"""The model gets of a result what it can read, and no more than its budget."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.items import JsonObject
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.mcp.tools.result import CallOutput, read_result


def block(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def image(data: str = "aGk=", mime: str = "image/png") -> JsonObject:
    return {"type": "image", "data": data, "mimeType": mime}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"content": [block("hi")]}, 'Wall time: 0.5000 seconds\nOutput:\n[{"type":"text","text":"hi"}]'),
        ({"content": [], "structuredContent": {"x": 7}}, 'Wall time: 0.5000 seconds\nOutput:\n{"x":7}'),
        ({"content": []}, "Wall time: 0.5000 seconds\nOutput:\n[]"),
        ({"content": [], "isError": True}, "Wall time: 0.5000 seconds\nError:\n[]"),
    ],
)
def test_a_result_without_images_is_one_text(result: JsonObject, text: str) -> None:
    output = read_result(result, 0.5)
    assert output.output == text
    assert output.success is not result.get("isError", False)


@pytest.mark.parametrize(
    ("content", "structured"),
    [
        (['{"x": 7}'], {"x": 7}),
        ([' {"x":7.0}'], {"x": 7}),
        (["seven"], {"result": "seven"}),
        (["7"], {"result": 7}),
        (['{"a": 1}', "two"], {"result": [{"a": 1}, "two"]}),
        (['["a", "b"]'], {"result": ["a", "b"]}),
        (["null"], {"result": None}),
    ],
)
def test_a_text_that_only_repeats_the_structured_part_is_told_once(content: list[str], structured: JsonObject) -> None:
    output = read_result({"content": [block(text) for text in content], "structuredContent": structured}, 0.5)
    assert output.output == f"Wall time: 0.5000 seconds\nOutput:\n{msgspec.json.encode(structured).decode()}"


@given(st.lists(st.text(), min_size=1, max_size=3), st.dictionaries(st.text(), st.integers(), min_size=1))
def test_texts_and_the_structured_part_are_both_told(texts: list[str], structured: JsonObject) -> None:
    texts = [f"said {text}" for text in texts]
    for more in ([], [image()]):
        output = read_result({"content": [*map(block, texts), *more], "structuredContent": structured}, 0).text
        assert msgspec.json.encode(structured).decode() in output
        assert all(text in output or msgspec.json.encode(text).decode() in output for text in texts)


def test_what_only_a_program_can_read_does_not_use_up_the_budget() -> None:
    long = "A" * 5000
    blocks: list[JsonObject] = [
        {"type": "audio", "data": long, "mimeType": "audio/wav"},
        {"type": "resource", "resource": {"uri": "file:///x", "blob": long}},
        {"type": "resource", "resource": {"uri": "file:///y", "text": long}},
    ]
    output = read_result({"content": blocks}, 0).text
    assert output.count(long) == 1
    assert output.count("[5000 characters of base64]") == 2


def test_images_are_shown_in_their_place() -> None:
    resource = {"type": "resource_link", "uri": "file:///a", "name": "a"}
    output = read_result({"content": [block("see"), image(), resource]}, 0)
    assert output.output == [
        {"type": "input_text", "text": "Wall time: 0.0000 seconds\nOutput:\n"},
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
        {"type": "input_text", "text": msgspec.json.encode(resource).decode()},
    ]


@pytest.mark.parametrize(
    "broken", [image(data="not base64!"), image(data=""), image(mime="text/html"), image(mime="image/png,x")]
)
def test_what_is_no_image_is_not_sent_as_one(broken: JsonObject) -> None:
    assert "[an image that cannot be shown]" in read_result({"content": [image(), broken]}, 0).text


def test_texts_use_up_the_budget_in_order_and_images_stay() -> None:
    parts: tuple[JsonObject, ...] = (
        {"type": "input_text", "text": "abcd"},
        {"type": "input_text", "text": "0123456789"},
        {"type": "input_image", "image_url": "data:"},
        {"type": "input_text", "text": "lost"},
        {"type": "input_text", "text": "too"},
    )
    assert CallOutput(parts, success=True).within(OutputBudget(8)).output == [
        {"type": "input_text", "text": "abcd"},
        {"type": "input_text", "text": "01…6 chars truncated…89"},
        {"type": "input_image", "image_url": "data:"},
        {"type": "input_text", "text": "[omitted 2 text items ...]"},
    ]


@given(st.lists(st.text()), st.integers(min_value=0, max_value=60))
def test_the_budget_holds(texts: list[str], size: int) -> None:
    output = CallOutput(tuple({"type": "input_text", "text": text} for text in texts), success=True).within(
        OutputBudget(size)
    )
    markers = 80
    assert sum(len(str(part["text"]).encode(errors="replace")) for part in output.parts) <= size + markers
