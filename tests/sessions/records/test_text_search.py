"""A text is found wherever a passage tells of it, and nowhere else, however its letters are written in the file."""

import json
from itertools import chain
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenroom.sessions.records.text_search import TextSearch

META = (
    b'{"type":"session_meta","payload":{"id":"01a20312-0577-77d3-9bb9-ad78bbf82560","base_instructions":"marmalade"}}\n'
)


def line(item: Any, *, escaped: bool = False, kind: str = "response_item") -> bytes:
    return json.dumps({"type": kind, "payload": item}, ensure_ascii=escaped).encode() + b"\n"


def said(text: str, role: str = "user") -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def called(name: str, arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "name": name, "arguments": json.dumps(arguments), "call_id": "c"}


def is_found(text: str, *lines: bytes) -> bool:
    search = TextSearch(text)
    return search.may_be_told(lines) and search.is_told(lines)


ANSWER = {"type": "function_call_output", "call_id": "c", "output": '{"output":"Two Failed\\n","metadata":{}}'}
REASONING = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Look in the cellar"}]}
PICTURE = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (said("Mend the BUILD"), "the build"),
        (said("Straße"), "STRASSE"),
        (said("the \u212aelvin sign"), "kelvin"),
        (said("e\u0301"), "E\u0301"),
        (said("two\nlines"), "two\nlines"),
        (said('a "quoted" word'), '"quoted"'),
        (said("漢字"), "字"),
        (said("done", "assistant"), "DONE"),
        (REASONING, "cellar"),
        (called("shell", {"command": ["bash", "-lc", "make 'the test'"]}), "make 'the test'"),
        (called("shell", {"command": ["ls", "a b"]}), "ls 'a b'"),
        (called("update_plan", {"plan": "first"}), "update_plan"),
        (ANSWER, "two failed"),
        (PICTURE, "(an"),
        (said("&&"), "&&"),
    ],
)
@pytest.mark.parametrize("escaped", [True, False])
def test_a_text_is_found_in_each_kind_of_passage(item: dict[str, Any], text: str, escaped: bool) -> None:
    assert is_found(text, META, line(said("before")), line(item, escaped=escaped))
    assert not is_found(text, META, line(said("before")))


@pytest.mark.parametrize(
    "unsaid",
    [
        META,
        line({"type": "agent_message", "message": "marmalade"}, kind="event_msg"),
        line(said("marmalade", "developer")),
        line(said("<environment_context>marmalade</environment_context>")),
        line({"type": "message", "role": "user", "content": [{"type": "marmalade"}]}),
        b"marmalade\n",
        b'{"type":"response_item","payload":{"marmalade\n',
        b"\xff marmalade\n",
    ],
)
def test_what_nobody_said_is_not_found(unsaid: bytes) -> None:
    assert not is_found("marmalade", META, unsaid)


def test_what_was_rolled_back_is_not_found() -> None:
    rolled = line({"type": "thread_rolled_back", "num_turns": 1}, kind="event_msg")
    begun = line({"type": "task_started"}, kind="event_msg")
    assert is_found("jam", META, begun, line(said("jam")))
    assert not is_found("jam", META, begun, line(said("jam")), rolled)


def test_the_items_of_2025_are_searched() -> None:
    head = b'{"id":"01a20312-0577-77d3-9bb9-ad78bbf82560","timestamp":"2025-08-20T10:00:00Z"}\n'
    assert is_found("jam", head, json.dumps(said("Jam")).encode() + b"\n")


LETTERS = 'aAkKsSß\u212a\u017fﬁﬀİi0 -"\\\n\u0301漢'
TEXTS = st.text(alphabet=LETTERS, max_size=12)


@given(told=st.lists(TEXTS, max_size=4), wanted=TEXTS.filter(bool), escaped=st.booleans())
@example(told=["ﬁ"], wanted="fi", escaped=False)
@example(told=["K"], wanted="\u212a", escaped=True)
def test_a_search_agrees_with_a_look_at_every_passage(told: list[str], wanted: str, escaped: bool) -> None:
    lines = [META, *(line(said(text), escaped=escaped) for text in told)]
    expected = any(wanted.casefold() in text.casefold() for text in told if text.strip())
    assert is_found(wanted, *lines) == expected
    assert is_found(wanted, *chain(lines, lines)) == expected
