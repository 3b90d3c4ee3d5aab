"""The model gets of a result what it can read, and no more than its budget."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.items import JsonObject
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.mcp.result import Output, read_result


def block(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def image(data: str = "aGk=", mime: str = "image/png") -> JsonObject:
    return {"type": "image", "data": data, "mimeType": mime}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"content": [block("hi")]}, 'Wall time: 0.5000 seconds\nOutput:\n[{"type":"text","text":"hi"}]'),
        ({"content": [block("7")], "structuredContent": {"x": 7}}, 'Wall time: 0.5000 seconds\nOutput:\n{"x":7}'),
        ({"content": []}, "Wall time: 0.5000 seconds\nOutput:\n[]"),
        ({"content": [], "isError": True}, "Wall time: 0.5000 seconds\nError:\n[]"),
    ],
)
def test_a_result_without_images_is_one_text(result: JsonObject, text: str) -> None:
    output = read_result(result, 0.5)
    assert output.output == text
    assert output.success is not result.get("isError", False)


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
    parts = (
        {"type": "input_text", "text": "abcd"},
        {"type": "input_text", "text": "0123456789"},
        {"type": "input_image", "image_url": "data:"},
        {"type": "input_text", "text": "lost"},
        {"type": "input_text", "text": "too"},
    )
    assert Output(parts, success=True).within(OutputBudget(8)).output == [
        {"type": "input_text", "text": "abcd"},
        {"type": "input_text", "text": "01…6 chars truncated…89"},
        {"type": "input_image", "image_url": "data:"},
        {"type": "input_text", "text": "[omitted 2 text items ...]"},
    ]


@given(st.lists(st.text()), st.integers(min_value=0, max_value=60))
def test_the_budget_holds(texts: list[str], size: int) -> None:
    output = Output(tuple({"type": "input_text", "text": text} for text in texts), success=True).within(
        OutputBudget(size)
    )
    markers = 80
    assert sum(len(str(part["text"]).encode(errors="replace")) for part in output.parts) <= size + markers
