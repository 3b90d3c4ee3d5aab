"""Chat requests: what the history holds reaches the model in a form that every compatible server accepts."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.history.call_pairing import ABORTED
from greenroom.workers.conversation.history.history import History
from greenroom.workers.model.chat.request import IMAGE_TEXT, NAMELESS, ChatRequestEncoder
from greenroom.workers.model.request import ModelRequest

ID = ConversationId("01a20312-0577-77d3-9bb9-ad78bbf82560")
ORDINARY = ModelRequest(model="m", conversation_id=ID, instructions="Be good.")
SYSTEM: JsonObject = {"role": "system", "content": "Be good."}
SHELL: JsonObject = {"name": "shell", "description": "Runs.", "strict": False, "parameters": {"type": "object"}}
PIXEL = "data:image/png;base64,AAAA"
PICTURE: JsonObject = {"type": "input_image", "image_url": PIXEL}
PICTURE_PART: JsonObject = {"type": "image_url", "image_url": {"url": PIXEL}}


def said(role: str, *texts: str, more: JsonObject | None = None) -> JsonObject:
    kind = "output_text" if role == "assistant" else "input_text"
    parts = [{"type": kind, "text": text} for text in texts]
    return {"type": "message", "role": role, "content": [*parts, *([more] if more else [])]}


def call(call_id: str, arguments: str = "{}", name: str = "shell") -> JsonObject:
    return {"type": "function_call", "name": name, "arguments": arguments, "call_id": call_id}


def output(call_id: str, told: object = "ok") -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": told}


def body(request: ModelRequest, *items: JsonObject) -> JsonObject:
    encoder = ChatRequestEncoder(request)
    encoded = History(items).encoded_input(with_members=encoder.takes_members)
    members: JsonObject = json.loads(encoder.body(encoded))
    return members


def messages(*items: JsonObject, instructions: str = "") -> object:
    return body(msgspec.structs.replace(ORDINARY, instructions=instructions), *items)["messages"]


def asked(call_id: str, arguments: str = "{}", name: str = "shell") -> JsonObject:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(text: str | None, *calls: JsonObject) -> JsonObject:
    return {"role": "assistant", "content": text, **({"tool_calls": list(calls)} if calls else {})}


def tool(call_id: str, text: str = "ok") -> JsonObject:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def test_ordinary_body() -> None:
    tools: list[JsonObject] = [{"type": "function", **SHELL}, {"type": "web_search"}]
    assert body(msgspec.structs.replace(ORDINARY, tools=tools), said("user", "Hi")) == {
        "model": "m",
        "messages": [SYSTEM, {"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "function": SHELL}],
    }


def test_without_tools_the_member_is_left_out() -> None:
    assert "tools" not in body(ORDINARY)


def test_custom_tool_is_offered_as_a_function_of_one_text() -> None:
    tools: list[JsonObject] = [{"type": "custom", "name": "apply_patch", "description": "Patches.", "format": {}}]
    encoded: dict[str, Any] = body(msgspec.structs.replace(ORDINARY, tools=tools))
    (offered,) = encoded["tools"]
    assert offered["function"]["name"] == "apply_patch"
    assert offered["function"]["parameters"]["required"] == ["input"]


@pytest.mark.parametrize(
    ("changed", "member", "value"),
    [
        ({"effort": "low"}, "reasoning_effort", "low"),
        ({"effort": "low", "supports_reasoning": False}, "reasoning_effort", None),
        ({}, "reasoning_effort", None),
        ({"verbosity": "high"}, "verbosity", "high"),
        (
            {"output_schema": {"type": "object"}},
            "response_format",
            {
                "type": "json_schema",
                "json_schema": {"name": "codex_output_schema", "strict": True, "schema": {"type": "object"}},
            },
        ),
    ],
)
def test_what_is_configured_is_sent(changed: Mapping[str, object], member: str, value: object) -> None:
    assert body(msgspec.structs.replace(ORDINARY, **changed)).get(member) == value


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (
            [
                said("developer", "May: all."),
                said("user", "where"),
                said("user", "Hi"),
                said("developer", "May: none."),
            ],
            [{"role": "system", "content": "May: all.\n\nMay: none."}, {"role": "user", "content": "where\n\nHi"}],
        ),
        (
            [said("user", "Look", more=PICTURE)],
            [{"role": "user", "content": [{"type": "text", "text": "Look"}, PICTURE_PART]}],
        ),
        (
            [
                said("assistant", "I ", "look."),
                call("a"),
                call("b"),
                output("a"),
                output("b"),
                said("assistant", "Done"),
            ],
            [assistant("I look.", asked("a"), asked("b")), tool("a"), tool("b"), assistant("Done")],
        ),
        (
            [call("a"), output("a"), call("b"), output("b")],
            [assistant(None, asked("a")), tool("a"), assistant(None, asked("b")), tool("b")],
        ),
        (
            [call("a"), said("assistant", "I look."), output("a")],
            [assistant("I look.", asked("a")), tool("a")],
        ),
        (
            [call("a"), said("user", "Wait"), output("a")],
            [assistant(None, asked("a")), tool("a"), {"role": "user", "content": "Wait"}],
        ),
        (
            [call("a"), call("b"), output("b")],
            [assistant(None, asked("a")), tool("a", ABORTED), assistant(None, asked("b")), tool("b")],
        ),
        ([output("a"), said("assistant", "x")], [assistant("x")]),
        (
            [call("a"), output("a", "one"), call("a"), output("a", "two")],
            [assistant(None, asked("a")), tool("a", "one"), assistant(None, asked("a")), tool("a", "two")],
        ),
        (
            [
                {"type": "custom_tool_call", "name": "apply_patch", "input": "*** ", "call_id": "a"},
                {"type": "custom_tool_call_output", "call_id": "a", "output": "ok"},
            ],
            [assistant(None, asked("a", '{"input":"*** "}', "apply_patch")), tool("a")],
        ),
        (
            [{"type": "local_shell_call", "call_id": "a", "action": {"command": ["ls"], "timeout_ms": 5}}, output("a")],
            [assistant(None, asked("a", '{"command":["ls"],"timeout_ms":5}')), tool("a")],
        ),
        (
            [call("a"), output("a", [{"type": "input_text", "text": "ok"}, PICTURE]), said("assistant", "Nice")],
            [
                assistant(None, asked("a")),
                tool("a"),
                {"role": "user", "content": [PICTURE_PART]},
                assistant("Nice"),
            ],
        ),
        (
            [call("a"), output("a", [PICTURE])],
            [assistant(None, asked("a")), tool("a", IMAGE_TEXT), {"role": "user", "content": [PICTURE_PART]}],
        ),
        (
            [
                {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
                {"type": "web_search_call", "id": "1", "status": "completed"},
                {"type": "compaction", "encrypted_content": "x"},
                said("user", ""),
            ],
            [],
        ),
        (
            [{"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}],
            [assistant("No.")],
        ),
    ],
    ids=[
        "one system message, one user message",
        "image",
        "text and parallel calls",
        "calls one after the other",
        "call before its text",
        "output comes late",
        "call without output",
        "output without call",
        "one id used twice",
        "custom tool",
        "local shell",
        "output with an image",
        "output that is an image",
        "what has no form here",
        "refusal",
    ],
)
def test_items_become_messages(items: list[JsonObject], expected: list[JsonObject]) -> None:
    assert messages(*items) == expected


def thought(text: str, **members: object) -> JsonObject:
    parts = [{"type": "reasoning_text", "text": text}] if text else []
    return {"type": "reasoning", "summary": [], "content": parts, "chat": members}


DETAILS = [{"type": "reasoning.text", "text": "hm", "index": 0}, {"type": "reasoning.encrypted", "data": "c2Vj"}]
SIGNED: JsonObject = {"google": {"thought_signature": "c2ln"}}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (
            [said("user", "Hi"), thought("hm", reasoning_content=None), call("a"), output("a")],
            [{"role": "user", "content": "Hi"}, {**assistant(None, asked("a")), "reasoning_content": "hm"}, tool("a")],
        ),
        (
            [thought("hm", reasoning=None, novelty=[1]), said("assistant", "I look."), call("a"), output("a")],
            [{**assistant("I look.", asked("a")), "reasoning": "hm", "novelty": [1]}, tool("a")],
        ),
        (
            [thought("", reasoning_content=None), call("a"), output("a")],
            [{**assistant(None, asked("a")), "reasoning_content": ""}, tool("a")],
        ),
        (
            [thought("hm", reasoning=None, reasoning_details=DETAILS), said("assistant", "x"), said("user", "Hi")],
            [{**assistant("x"), "reasoning": "hm", "reasoning_details": DETAILS}, {"role": "user", "content": "Hi"}],
        ),
        (
            [
                thought("one", reasoning=None),
                call("a"),
                output("a"),
                thought("two", reasoning=None),
                call("b"),
                output("b"),
            ],
            [
                {**assistant(None, asked("a")), "reasoning": "one"},
                tool("a"),
                {**assistant(None, asked("b")), "reasoning": "two"},
                tool("b"),
            ],
        ),
        (
            [thought("hm", reasoning_content=None), said("user", "Stop"), call("a"), output("a")],
            [{"role": "user", "content": "Stop"}, assistant(None, asked("a")), tool("a")],
        ),
        (
            [{**call("a"), "chat": {"extra_content": SIGNED, "function": {"novelty": 1}}}, output("a")],
            [
                assistant(
                    None,
                    {
                        **asked("a"),
                        "extra_content": SIGNED,
                        "function": {"name": "shell", "arguments": "{}", "novelty": 1},
                    },
                ),
                tool("a"),
            ],
        ),
        (
            [thought("hm", role="user", content="no", tool_calls=[]), call("a"), output("a")],
            [assistant(None, asked("a")), tool("a")],
        ),
    ],
    ids=[
        "reasoning with calls",
        "every name, with text and calls",
        "an empty thought",
        "without calls too",
        "each to its own",
        "a thought that led to nothing",
        "members of calls",
        "never in the place of ours",
    ],
)
def test_what_the_server_said_besides_goes_back_to_it(items: list[JsonObject], expected: list[JsonObject]) -> None:
    assert messages(*items) == expected


def test_what_a_server_misses_is_said_of_every_answer() -> None:
    history = History([said("assistant", "x"), said("user", "Hi"), thought("hm", reasoning_content=None), call("a")])
    history.append(output("a"))
    assert history.adapt_members("The `reasoning_content` must be passed back")
    encoded = history.encoded_input(with_members=True)
    assert json.loads(ChatRequestEncoder(msgspec.structs.replace(ORDINARY, instructions="")).body(encoded))[
        "messages"
    ] == [
        {**assistant("x"), "reasoning_content": ""},
        {"role": "user", "content": "Hi"},
        {**assistant(None, asked("a")), "reasoning_content": "hm"},
        tool("a"),
    ]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('{"x": 1}', '{"x": 1}'),
        ("", "{}"),
        (" ", "{}"),
        ('{"x', '{"invalid":"{\\"x"}'),
        ("[1]", '{"invalid":"[1]"}'),
        ("[" * 100_000, json.dumps({"invalid": "[" * 100_000}, separators=(",", ":"))),
    ],
)
def test_arguments_are_an_object_whatever_the_model_wrote(written: str, sent: str) -> None:
    assert messages(call("a", written), output("a")) == [assistant(None, asked("a", sent)), tool("a")]


@pytest.mark.parametrize(
    ("written", "sent"), [("", NAMELESS), ("a.b c", "a_b_c"), ("é", "_"), ("x" * 70, "x" * 64), ("ok-1_A", "ok-1_A")]
)
def test_names_are_such_as_servers_allow(written: str, sent: str) -> None:
    assert messages(call("a", name=written), output("a")) == [assistant(None, asked("a", name=sent)), tool("a")]


IDS = st.sampled_from(["c1", "c2", "c3"])
ITEMS = st.one_of(
    IDS.map(call),
    IDS.map(output),
    IDS.map(lambda call_id: output(call_id, [PICTURE])),
    st.sampled_from(["user", "assistant", "developer"]).flatmap(
        lambda role: st.text(max_size=3).map(lambda text: said(role, text))
    ),
)


@given(st.lists(ITEMS, max_size=20))
def test_calls_are_answered_at_once_and_users_and_assistants_alternate(items: list[JsonObject]) -> None:
    waiting: list[object] = []
    previous = ""
    for message in messages(*items, instructions="x"):  # type: ignore[attr-defined]
        role = message["role"]
        assert (role == "system") == (previous == "")
        assert role != previous or role == "tool"
        if waiting:
            assert (role, message["tool_call_id"]) == ("tool", waiting.pop(0))
        else:
            assert role != "tool"
        waiting.extend(call["id"] for call in message.get("tool_calls", ()))
        previous = role
    assert not waiting


@given(st.lists(ITEMS, max_size=20))
def test_nothing_that_was_said_is_lost(items: list[JsonObject]) -> None:
    sent = json.dumps(messages(*items))
    for item in items:
        for part in item.get("content", ()):  # type: ignore[attr-defined]
            assert json.dumps(part["text"])[1:-1] in sent
    assert sent.count('"tool_calls"') <= sum(item["type"] == "function_call" for item in items)


def test_beginnings_of_two_requests_are_equal_as_far_as_their_items_are() -> None:
    history = [said("developer", "May."), said("user", "Hi"), said("assistant", "I look."), call("a"), output("a")]
    encoder = ChatRequestEncoder(ORDINARY)
    first = encoder.body(History(history).encoded_input())
    second = encoder.body(History([*history, said("assistant", "Done")]).encoded_input())
    shared = first.index(b'],"stream"')
    assert first[:shared] == second[:shared]
